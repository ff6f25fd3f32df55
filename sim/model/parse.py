"""Find where each layer of a frame starts.

::

    0            l3            l4           header_length            ip_end      L
    │ MACs, tags │ IP, options │ TCP or UDP │ payload ...            │ trailer ..│
                 └ extension headers of IPv6 are IP's

A frame that says it is IP but whose headers lie, are cut short or go too deep is `unparsed`: it passes as it is.
"""

from dataclasses import dataclass
from typing import Required, TypedDict

ETHERNET = 14  # bytes: destination, source, type
TAGS = (0x8100, 0x88A8)
MOST_TAGS = 2
IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
MOST_EXTENSIONS = 4
DEEPEST = 512  # bytes of headers that the card looks at


@dataclass(frozen=True)
class Headers:
    """Facts about one frame; offsets in bytes from its start.

    Where there is no TCP or UDP header to work on (`tcp` and `udp` False), `header_length` is `l4`; where there is no
    IP header, `l4` is `l3`.
    """

    frame: bytes
    l3: int  # end of the Ethernet header: 14, 18 or 22
    l4: int  # end of the IP header with its options or extension headers
    header_length: int  # end of the TCP header (options included) or UDP header
    ip_end: int  # where IP says that its packet ends; the frame's end if not IP
    tags: int  # VLAN tags found: 0 to 2
    tpid: int = 0  # the outermost tag's type, 0 without one
    tci: int = 0  # the outermost tag's priority, drop and VLAN bits
    ip_version: int = 0  # 4 or 6 if there is an IP header, even one whose lengths lie; else 0
    tos: int = 0  # DSCP << 2 | ECN of that IP header
    protocol: int = 0  # upper-layer protocol of an IP header that was followed to its end
    fragment: bool = False
    tcp: bool = False
    udp: bool = False
    unparsed: bool = False

    @property
    def payload(self) -> bytes:
        """All that comes after the headers, the trailer included."""
        return self.frame[self.header_length :]

    @property
    def trailer(self) -> bytes:
        """Ethernet padding: what comes after the IP packet."""
        return self.frame[self.ip_end :]

    @property
    def addresses(self) -> tuple[bytes, bytes]:
        """Source and destination address of the IP header."""
        at, size = (self.l3 + 12, 4) if self.ip_version == 4 else (self.l3 + 8, 16)
        return self.frame[at : at + size], self.frame[at + size : at + 2 * size]


def parse(frame: bytes, here: int | None = None) -> Headers:
    """Look through Ethernet, up to two tags, IP and TCP or UDP. Needs the 14 bytes of an Ethernet header.

    `here`: only so many bytes can be looked at; headers that do not end in them are as if cut short. All by default.
    """
    if len(frame) < ETHERNET:
        raise ValueError(f"a frame of {len(frame)} bytes has no Ethernet header")
    here = len(frame) if here is None else here
    if here < ETHERNET:
        return Headers(frame, ETHERNET, tags=0, **unparsed(frame, ETHERNET))
    l3, tags = ETHERNET, 0
    while tags < MOST_TAGS and word(frame, l3 - 2) in TAGS and here >= l3 + 4:
        l3, tags = l3 + 4, tags + 1
    found, kind = whole(frame, l3), word(frame, l3 - 2)
    if kind in (IPV4, IPV6):
        found = (parse_ipv4 if kind == IPV4 else parse_ipv6)(frame, l3, here)
    tpid, tci = (word(frame, 12), word(frame, 14)) if tags else (0, 0)
    return Headers(frame, l3, tags=tags, tpid=tpid, tci=tci, **found)


class Found(TypedDict, total=False):
    """The facts of `Headers` that lie behind the Ethernet header."""

    l4: Required[int]
    header_length: Required[int]
    ip_end: Required[int]
    ip_version: int
    tos: int
    protocol: int
    fragment: bool
    tcp: bool
    udp: bool
    unparsed: bool


def whole(frame: bytes, l3: int) -> Found:
    """A frame that says it is no IP."""
    return {"l4": l3, "header_length": l3, "ip_end": len(frame)}


def unparsed(frame: bytes, l4: int, ip_version: int = 0, tos: int = 0) -> Found:
    """Give up on a frame; what was recognised of its IP header still gives the outer header its TOS."""
    return {
        "l4": l4,
        "header_length": l4,
        "ip_end": len(frame),
        "ip_version": ip_version,
        "tos": tos,
        "unparsed": True,
    }


def parse_ipv4(frame: bytes, l3: int, here: int) -> Found:
    if here < l3 + 20 or frame[l3] >> 4 != 4:
        return unparsed(frame, l3)
    l4 = l3 + 4 * (frame[l3] & 15)
    if not l3 + 20 <= l4 <= here:
        return unparsed(frame, l3)
    tos, ip_end = frame[l3 + 1], l3 + word(frame, l3 + 2)
    if not l4 <= ip_end <= len(frame):
        return unparsed(frame, l4, 4, tos)
    more_or_offset = word(frame, l3 + 6) & 0x3FFF
    return parse_l4(frame, l4, ip_end, here, 4, tos, frame[l3 + 9], fragment=more_or_offset != 0)


def parse_ipv6(frame: bytes, l3: int, here: int) -> Found:
    if here < l3 + 40 or frame[l3] >> 4 != 6:
        return unparsed(frame, l3)
    start, tos, protocol = l3 + 40, word(frame, l3) >> 4 & 0xFF, frame[l3 + 6]
    at, ip_end, extensions = start, start + word(frame, l3 + 4), 0
    if ip_end > len(frame):
        return unparsed(frame, start, 6, tos)
    while protocol in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS):
        extensions += 1
        if extensions > MOST_EXTENSIONS or at + 8 > min(ip_end, here):
            return unparsed(frame, start, 6, tos)
        end = at + 8 * (frame[at + 1] + 1)
        if end > min(ip_end, here, DEEPEST):
            return unparsed(frame, start, 6, tos)
        if protocol == ROUTING and frame[at + 3] != 0:
            return unparsed(frame, start, 6, tos)  # the pseudo-header's destination is the last hop's, not the header's
        at, protocol = end, frame[at]
    return parse_l4(frame, at, ip_end, here, 6, tos, protocol, fragment=protocol == FRAGMENT)


def parse_l4(
    frame: bytes, l4: int, ip_end: int, here: int, ip_version: int, tos: int, protocol: int, *, fragment: bool
) -> Found:
    deepest = min(ip_end, here, DEEPEST)
    header_length, tcp, udp = l4, not fragment and protocol == TCP, not fragment and protocol == UDP
    if tcp:
        if l4 + 20 > min(ip_end, here):
            return unparsed(frame, l4, ip_version, tos)
        header_length = l4 + 4 * (frame[l4 + 12] >> 4)
        if not l4 + 20 <= header_length <= deepest:
            return unparsed(frame, l4, ip_version, tos)
    if udp:
        if l4 + 8 > deepest or word(frame, l4 + 4) != ip_end - l4:
            return unparsed(frame, l4, ip_version, tos)
        header_length = l4 + 8
    return {
        "l4": l4,
        "header_length": header_length,
        "ip_end": ip_end,
        "ip_version": ip_version,
        "tos": tos,
        "protocol": protocol,
        "fragment": fragment,
        "tcp": tcp,
        "udp": udp,
    }


def word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
