"""Patch codes: which word of a header is replaced on its way out, and by what.

A code lies beside each 16-bit word of a template (outer header) or of the header ring (inner header). A code of 0
leaves the word as it is; any other takes the value of that number from the packet's record.
"""

from enum import IntEnum


class InnerPatch(IntEnum):
    """Words of the inner headers that differ from segment to segment (3 bits a word)."""

    NONE = 0
    LENGTH = 1  # IPv4 total length, IPv6 payload length
    ID = 2  # IPv4 identification
    IP_CHECKSUM = 3  # IPv4 header checksum
    SEQUENCE_HIGH = 4  # TCP sequence number
    SEQUENCE_LOW = 5
    TCP_FLAGS = 6  # data offset and flags
    L4_CHECKSUM = 7  # TCP or UDP checksum


class OuterPatch(IntEnum):
    """Words of an outer template that differ from packet to packet or from tunnel to tunnel (5 bits a word)."""

    NONE = 0
    LENGTH = 1  # IPv4 total length, IPv6 payload length
    ID = 2  # IPv4 identification
    IP_CHECKSUM = 3  # IPv4 header checksum
    TOS = 4  # version, header length and TOS of IPv4; version and traffic class of IPv6
    FLOW_PORT = 5  # source port from the inner flow's hash
    UDP_LENGTH = 6
    L4_CHECKSUM = 7  # UDP, GRE, or the STT header's TCP checksum
    SEQUENCE_HIGH = 8  # GRE sequence; STT: frame length
    SEQUENCE_LOW = 9  # GRE sequence; STT: offset of the fragment
    ACK_HIGH = 10  # STT: frame identifier
    ACK_LOW = 11
    TCP_FLAGS = 12  # STT: data offset and flags
    STT_FLAGS = 13  # STT frame header: version and flags
    STT_L4_OFFSET = 14  # STT frame header: L4 offset and reserved byte
    STT_MSS = 15
    STT_TCI = 16
    NEXT_HOP_0 = 17  # the tunnel's own: destination MAC
    NEXT_HOP_1 = 18
    NEXT_HOP_2 = 19
    KEY_0 = 20  # the tunnel's own: key, most significant word first
    KEY_1 = 21
    KEY_2 = 22
    KEY_3 = 23
    REMOTE_0 = 24  # the tunnel's own: remote address; IPv4 uses 0 and 1
    REMOTE_1 = 25
    REMOTE_2 = 26
    REMOTE_3 = 27
    REMOTE_4 = 28
    REMOTE_5 = 29
    REMOTE_6 = 30
    REMOTE_7 = 31


INNER_PATCH_BITS = 3
OUTER_PATCH_BITS = 5
