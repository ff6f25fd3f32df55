"""The receive path as hardware and host agree on it: why a packet is not delivered, and what is counted."""

from enum import IntEnum


class RxReason(IntEnum):
    """Why a packet does not reach a vport of its vnet. Each has a counter; the first three may go the slow path."""

    NONE = 0
    OUTER_FRAGMENT = 1  # a piece of a fragmented outer packet
    NOT_TERMINATED = 2  # nobody here ends this tunnel, or it carries something else than Ethernet
    GENEVE_CONTROL = 3  # the O bit: a message for the endpoint itself (RFC 8926)
    RUNT = 4  # shorter than an Ethernet header, outside or inside the tunnel
    OVERSIZE = 5  # longer than the card takes
    OUTER_LENGTH = 6  # the outer IP, UDP or tunnel header promises bytes that are not there
    IP_CHECKSUM = 7  # outer IPv4 header checksum
    UDP_CHECKSUM = 8  # outer UDP checksum, not zero and wrong
    UDP_CHECKSUM_MISSING = 9  # outer UDP checksum zero where the termination entry requires one
    GRE_CHECKSUM = 10  # GRE checksum (C bit)
    STT_CHECKSUM = 11  # checksum of STT's TCP-like header
    GRE_VERSION = 12  # other than 0
    GRE_FLAGS = 13  # bits 1, 4 or 5 (RFC 2784), or C or S in NVGRE (RFC 7637)
    VXLAN_FLAGS = 14  # without the I bit
    GENEVE_VERSION = 15  # other than 0
    GENEVE_OPTIONS = 16  # they do not add up to their length
    GENEVE_CRITICAL = 17  # a critical option that nobody here knows
    UNKNOWN_PEER = 18  # from an address that the termination entry does not accept
    INNER_VLAN = 19  # a VLAN tag inside NVGRE (RFC 7637)
    ECN = 20  # congestion marked on a packet that cannot say so (RFC 6040)
    STT_EMPTY = 21  # an STT fragment without a byte
    STT_LENGTH = 22  # an STT fragment beyond its frame's end, or a frame too short for its headers
    STT_HEADER = 23  # an STT frame header that is not whole in the first fragment
    STT_VERSION = 24  # STT frame version other than 0
    STT_FLAGS = 25  # STT checksum verified and partial at once
    STT_TOTAL = 26  # an STT fragment that disagrees with the first-arriving one about the frame's length
    STT_DUPLICATE = 27  # an STT fragment whose bytes are all here
    STT_OVERLAP = 28  # an STT fragment some of whose bytes are here
    STT_HOLES = 29  # an STT fragment that would leave more holes than a context can note
    STT_EVICTED = 30  # fragments of an STT frame that was given up for a new one
    STT_TIMEOUT = 31  # fragments of an STT frame that did not become whole in time
    NO_BUFFER = 32  # the host has given no buffer for it
    NO_VPORT = 33  # no vport of the vnet has the destination address, and the policy is to drop
    BAD_CHECKSUM = 34  # inner checksum wrong, and the vport does not want to see such frames


SLOW = (RxReason.OUTER_FRAGMENT, RxReason.NOT_TERMINATED, RxReason.GENEVE_CONTROL)
RX_REASON_BITS = 6


class RxCounter(IntEnum):
    """What else the receive path counts. Numbered after the reasons, in one bank."""

    PACKETS_IN = 40
    PACKETS_DELIVERED = 41  # packets in the frames that were delivered
    FRAMES_DELIVERED = 42
    PACKETS_SLOW = 43  # packets that went the slow path
    OUT_OF_ORDER = 44  # GRE packets whose sequence number was not above the last one's


class ChecksumStatus(IntEnum):
    """What a delivered frame's record says of a checksum."""

    NONE = 0  # there is none, or its header was not understood
    GOOD = 1
    BAD = 2
    PARTIAL = 3  # the field holds the pseudo-header's sum only


class Encapsulation(IntEnum):
    """Kinds of outer header, as the parser tells them apart."""

    BARE = 0  # no tunnel to one of our addresses
    GRE = 1  # GRE or NVGRE
    VXLAN = 2
    GENEVE = 3
    STT = 4
