"""Which packets may be merged at all, and what two packets of one frame must have in common."""

from collections.abc import Hashable

from sim.model.coalesce.packet import Arrival
from sim.model.parse import Headers, word
from sim.model.segment import CWR, FIN, PSH

SYN, RST, URG = 0x02, 0x04, 0x20
ENDS = FIN | PSH  # go on the last segment only (RFC 9293), so they end a frame
NEVER = SYN | RST | URG | CWR  # cutting would copy the first three to every segment, and keep CWR on the first only
DEEPEST = 128  # bytes of headers that the card compares: two tags, IPv6 and TCP with all options are 122
NOT_COMPUTED = 0xFFFF  # a good checksum that no sender computes: the other zero of one's complement (RFC 1624)


def flow(arrival: Arrival, headers: Headers) -> Hashable | None:
    """Who is talking to whom, through what: packets of one flow keep their order. None: no TCP segment.

    The Ethernet header with its tags belongs to it, as in the kernel: a VLAN is a network of its own.
    """
    if not headers.tcp:
        return None
    ports = headers.frame[headers.l4 : headers.l4 + 4]
    return arrival.vnet, arrival.tunnel, headers.frame[: headers.l3], headers.addresses, ports


def alone(arrival: Arrival, headers: Headers) -> str | None:
    """Why this TCP segment is never merged with another; None where it may be."""
    frame, l3, l4 = headers.frame, headers.l3, headers.l4
    if arrival.checksum != "good":
        return "checksum"
    if arrival.control:
        return "control"
    if headers.ip_end != len(frame):
        return "padded"
    if headers.ip_version == 4 and l4 - l3 != 20:
        return "ip_options"
    if headers.ip_version == 4 and word(frame, l3 + 6) & 0x8000:
        return "reserved_bit"  # fragments are no TCP segments here: this is what remains of "DF or nothing"
    if headers.header_length > DEEPEST:
        return "deep"
    if headers.header_length == len(frame):
        return "empty"
    if flags(headers) & NEVER:
        return "flags"
    if word(frame, l4 + 16) == NOT_COMPUTED or (headers.ip_version == 4 and word(frame, l3 + 10) == NOT_COMPUTED):
        return "not_computed"  # cutting would write 0 in its place
    return None


def common(headers: Headers) -> bytes:
    """The headers with all that cutting patches set to 0: equal in all packets of a frame.

    ::

        Ethernet   IPv4  . tos LEN ID df ttl proto SUM addresses
                   IPv6  . class label LEN next hop limit addresses, extension headers
                   TCP   ports SEQ ack offset reserved flags (but FIN PSH) window SUM urgent, options

    What stands in capitals is patched. All else is copied to every segment: where one bit of it differs, the packets
    would not come back. The kernel does not look at an urgent pointer without URG, and loses the later ones.
    """
    rest = bytearray(headers.frame[: headers.header_length])
    l3, l4 = headers.l3, headers.l4
    if headers.ip_version == 4:
        rest[l3 + 2 : l3 + 6] = bytes(4)
        rest[l3 + 10 : l3 + 12] = bytes(2)
    else:
        rest[l3 + 4 : l3 + 6] = bytes(2)
    rest[l4 + 4 : l4 + 8] = bytes(4)
    rest[l4 + 13] &= ~ENDS
    rest[l4 + 16 : l4 + 18] = bytes(2)
    return bytes(rest)


def flags(headers: Headers) -> int:
    """TCP's lower eight flags: CWR ECE URG ACK PSH RST SYN FIN."""
    return headers.frame[headers.l4 + 13]
