"""Are the checksums right? Always over the bytes as they came, before anything is removed or rewritten.

A sum over data that has its own good checksum in it is 0xFFFF.
"""

from struct import unpack_from

from sim.model.checksum import MAX, ones_sum
from sim.model.parse import Headers, word
from sim.model.receive.outer import Outer
from sim.model.segment import completes_l4, pseudo_header

# What a delivery says of a checksum.
GOOD, BAD = "good", "bad"
PARTIAL = "partial"  # TCP's or UDP's field holds the pseudo-header's sum only: the sender left the rest to the receiver
NONE = "none"  # there is none, or its header was not understood


def outer_ip(outer: Outer) -> bool:
    """The IPv4 header, options included; IPv6 has no checksum."""
    return outer.source.version == 6 or ones_sum(outer.packet[outer.l3 : outer.l4]) == MAX


def outer_l4(outer: Outer, data: bytes) -> bool:
    """UDP's, and that of STT's TCP-like header, with the pseudo-header."""
    return ones_sum(outer.pseudo_header(len(data)) + data) == MAX


def gre(data: bytes) -> bool:
    """GRE header and payload, no pseudo-header."""
    return ones_sum(data) == MAX


def inner_ip(headers: Headers) -> str:
    """The inner IPv4 header checksum."""
    if headers.ip_version != 4 or headers.unparsed:
        return NONE
    return good_or_bad(ones_sum(headers.frame[headers.l3 : headers.l4]) == MAX)


def inner_l4(headers: Headers, partial: bool = False) -> str:
    """The inner TCP or UDP checksum; `partial`: the sender says that it is the pseudo-header's sum only."""
    if headers.unparsed or not completes_l4(headers):
        return NONE
    if partial:
        field = word(headers.frame, headers.l4 + (16 if headers.tcp else 6))
        same = (field - pseudo_header(headers, headers.ip_end)) % MAX == 0  # 0 and 0xFFFF are one number here
        return PARTIAL if same else BAD
    start = pseudo_header(headers, headers.ip_end)
    return good_or_bad(ones_sum(headers.frame[headers.l4 : headers.ip_end], start) == MAX)


def stt_l4(headers: Headers, partial: bool, packets: int) -> str:
    """The same for an STT frame, whose sum is that of its fragments' sums.

    Where there is padding behind the IP packet, the sum of several fragments is not that of the IP packet.
    """
    if packets > 1 and headers.trailer and not partial:
        return NONE
    return inner_l4(headers, partial)


def good_or_bad(good: bool) -> str:
    return GOOD if good else BAD


def udp_has_checksum(datagram: bytes) -> bool:
    """Zero says "none" (RFC 768)."""
    (field,) = unpack_from("!H", datagram, 6)
    return bool(field)
