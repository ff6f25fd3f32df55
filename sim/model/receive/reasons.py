"""Why a packet is not delivered to a vnet: every reason has a name, a sentence and a counter.

Where several hold, the first in the order of the work counts: the packet's length, the outer IP header, fragments, the
tunnel's header, its checksum, the lookup, the peer, the tunnel's rules, what is inside, and last where it goes.
"""

SLOW = {
    "outer_fragment": "a piece of a fragmented outer packet: a tunnel endpoint's host may put it together, not we",
    "not_terminated": "nobody here ends this tunnel, or it carries something else than Ethernet",
    "geneve_control": "the O bit: a message for the endpoint itself (RFC 8926)",
}

DROPS = {
    "runt": "shorter than an Ethernet header, outside or inside the tunnel",
    "oversize": "longer than the card takes: two VLAN tags and the largest MTU",
    "outer_length": "the outer IP, UDP or tunnel header promises bytes that are not there",
    "ip_checksum": "outer IPv4 header checksum",
    "udp_checksum": "outer UDP checksum, not zero and wrong",
    "udp_checksum_missing": "outer UDP checksum zero where the termination entry requires one",
    "gre_checksum": "GRE checksum (C bit)",
    "stt_checksum": "checksum of STT's TCP-like header",
    "gre_version": "GRE version other than 0",
    "gre_flags": "GRE bits 1, 4 or 5 (RFC 2784), or C or S in NVGRE (RFC 7637)",
    "vxlan_flags": "VXLAN without the I bit",
    "geneve_version": "Geneve version other than 0",
    "geneve_options": "Geneve options that do not add up to their length",
    "geneve_critical": "a critical Geneve option that nobody here knows",
    "unknown_peer": "from an address that the termination entry does not accept",
    "inner_vlan": "a VLAN tag inside NVGRE (RFC 7637)",
    "ecn": "congestion marked on a packet that cannot say so (RFC 6040)",
    "stt_empty": "an STT fragment without a byte",
    "stt_length": "an STT fragment beyond its frame's end, or a frame too short for its headers",
    "stt_header": "an STT frame header that is not whole in the first fragment",
    "stt_version": "STT frame version other than 0",
    "stt_flags": "STT checksum verified and partial at once",
    "stt_total": "an STT fragment that disagrees with the first-arriving one about the frame's length",
    "stt_duplicate": "an STT fragment whose bytes are all here",
    "stt_overlap": "an STT fragment some of whose bytes are here",
    "stt_holes": "an STT fragment that would leave more holes than a context can note",
    "stt_evicted": "fragments of an STT frame that was given up for a new one",
    "stt_timeout": "fragments of an STT frame that did not become whole in time",
    "no_vport": "no vport of the vnet has the destination address, and the vnet drops such frames",
    "bad_checksum": "inner checksum wrong, and the vport does not want to see such frames",
}


class Dropped(Exception):
    """A packet that goes nowhere; the argument is one of `DROPS`."""


class SlowPath(Exception):
    """A packet for the host's own network stack, as it came; the argument is one of `SLOW`."""
