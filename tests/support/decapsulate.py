"""Take the tunnel off a packet, as little as the coalescing vectors need: GRE, VXLAN and Geneve with Ethernet inside.

Written apart from the model, from the standards: it shares no code with what it checks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack_into, unpack_from
from typing import Literal

from tests.support.wire import words_sum

GRE, UDP, VXLAN_PORT, GENEVE_PORT = 47, 17, 4789, 6081
NOT_ECT, ECT1, ECT0, CE = range(4)


class Dropped(Exception):
    """A packet that does not come in; the argument says why."""


@dataclass(frozen=True)
class Inner:
    """An inner frame, and what its tunnel said."""

    frame: bytes
    tunnel: int  # index of its `ip link` arguments
    outer: int  # bytes from the outer IP header to the inner frame
    options: bytes = b""  # of Geneve
    control: bool = False  # Geneve's O bit
    vxlan_reserved: bool = False  # bits set that RFC 7348 says to ignore


def decapsulate(packet: bytes, links: Sequence[str]) -> Inner:
    """The inner frame, its ECN as RFC 6040 says, or `Dropped`. `links`: what `ip link add` was told, one a tunnel."""
    ip, protocol, tos, pseudo, body = outer_ip(packet)
    if protocol == GRE:
        inner = gre(body, links)
    elif protocol == UDP:
        inner = over_udp(body, pseudo, links)
    else:
        raise Dropped("not a tunnel")
    before = len(ip) - len(inner.frame)
    return Inner(
        with_ecn(inner.frame, tos & 3), inner.tunnel, before, inner.options, inner.control, inner.vxlan_reserved
    )


def outer_ip(packet: bytes) -> tuple[bytes, int, int, bytes, bytes]:
    """The IP packet, its protocol, TOS, pseudo-header and body."""
    ip = packet[14:]
    if packet[12:14] == b"\x08\x00":
        size, length = 4 * (ip[0] & 15), unpack_from("!H", ip, 2)[0]
        if words_sum(ip[:size]) != 0xFFFF:
            raise Dropped("outer IPv4 checksum")
        ip, tos, protocol, addresses = ip[:length], ip[1], ip[9], ip[12:20]
    else:
        assert packet[12:14] == b"\x86\xdd"
        ip = ip[: 40 + unpack_from("!H", ip, 4)[0]]
        tos, protocol, addresses, size = unpack_from("!H", ip)[0] >> 4 & 0xFF, ip[6], ip[8:40], 40
        while protocol == 60:  # destination options: the tunnel encapsulation limit (RFC 2473)
            protocol, size = ip[size], size + 8 * (ip[size + 1] + 1)
    body = ip[size:]
    return ip, protocol, tos, addresses + len(body).to_bytes(4, "big") + protocol.to_bytes(4, "big"), body


def gre(body: bytes, links: Sequence[str]) -> Inner:
    """RFC 2784, RFC 2890. As in Linux the checksum must be there if the tunnel says so, and must not otherwise."""
    flags, kind = unpack_from("!HH", body)
    checksum, key, numbered = flags & 0x8000, flags & 0x2000, flags & 0x1000
    if flags & 0x7 or flags & 0x4C00 or kind != 0x6558 or not key:
        raise Dropped("GRE header")
    at = 8 if checksum else 4
    tunnel = find(links, "key", unpack_from("!I", body, at)[0])
    if bool(checksum) != ("csum" in links[tunnel].split()):
        raise Dropped("GRE checksum, unlike the tunnel's")
    if checksum and words_sum(body) != 0xFFFF:
        raise Dropped("GRE checksum")
    return Inner(body[at + (8 if numbered else 4) :], tunnel, 0)


def over_udp(body: bytes, pseudo: bytes, links: Sequence[str]) -> Inner:
    """VXLAN (RFC 7348, reserved bits ignored) and Geneve (RFC 8926)."""
    port, length, checksum = unpack_from("!HHH", body, 2)
    if checksum and words_sum(pseudo + body[:length]) != 0xFFFF:
        raise Dropped("UDP checksum")
    first, vni = body[8], int.from_bytes(body[12:15], "big")
    tunnel = find(links, "id", vni)
    words = links[tunnel].split()
    if not checksum and ":" in words[words.index("remote") + 1] and "udp6zerocsumrx" not in words:
        raise Dropped("no UDP checksum over IPv6")
    if port == VXLAN_PORT:
        if not first & 0x08:
            raise Dropped("VXLAN without I")
        reserved = first != 0x08 or body[9:12] != bytes(3) or body[15] != 0
        return Inner(body[16:length], tunnel, 0, vxlan_reserved=reserved)
    assert port == GENEVE_PORT
    end = 16 + 4 * (first & 0x3F)
    if first >> 6 or body[9] & 0x40:
        raise Dropped("Geneve version, or an unknown critical option")
    return Inner(body[end:length], tunnel, 0, options=body[16:end], control=bool(body[9] & 0x80))


def find(links: Sequence[str], name: str, number: int) -> int:
    for index, words in enumerate(link.split() for link in links):
        if name in words and int(words[words.index(name) + 1], 0) == number:
            return index
    raise Dropped("no such tunnel")


def with_ecn(frame: bytes, outer: int) -> bytes:
    """RFC 6040: what the underlay marked goes into the inner header, its checksum corrected."""
    at = 14
    while frame[at - 2 : at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, packet = frame[at - 2 : at], bytearray(frame)
    if kind == b"\x08\x00":
        inner = packet[at + 1] & 3
    elif kind == b"\x86\xdd":
        inner = packet[at + 1] >> 4 & 3
    else:
        return frame
    if outer == CE and inner == NOT_ECT:
        raise Dropped("CE on a packet that is not ECN-capable")
    mark = outer if inner in (ECT0, ECT1) and outer == CE else ECT1 if (inner, outer) == (ECT0, ECT1) else inner
    if kind == b"\x86\xdd":
        packet[at + 1] = packet[at + 1] & 0xCF | mark << 4
    elif mark != inner:
        was = unpack_from("!H", packet, at + 10)[0]
        packet[at + 1] = packet[at + 1] & 0xFC | mark
        pack_into("!H", packet, at + 10, 0xFFFF ^ sum16((0xFFFF ^ was) + (0xFFFF ^ inner) + mark))  # RFC 1624
    return bytes(packet)


def sum16(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def verify(frame: bytes) -> Literal["good", "bad", "none"]:
    """The checksums of the inner IPv4 and TCP headers; "none" where there is no TCP header to find."""
    at = 14
    while frame[at - 2 : at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    kind, ip = frame[at - 2 : at], frame[at:]
    if kind == b"\x08\x00":
        size, length, fragment = 4 * (ip[0] & 15), unpack_from("!H", ip, 2)[0], unpack_from("!H", ip, 6)[0] & 0x3FFF
        protocol, addresses = ip[9], ip[12:20]
        if words_sum(ip[:size]) != 0xFFFF:
            return "bad"
        if fragment:
            return "none"
    elif kind == b"\x86\xdd":
        size, length = 40, 40 + unpack_from("!H", ip, 4)[0]
        protocol, addresses = ip[6], ip[8:40]
        while protocol in (0, 43, 60):
            protocol, size = ip[size], size + 8 * (ip[size + 1] + 1)
    else:
        return "none"
    if protocol != 6:
        return "none"
    body = ip[size:length]
    pseudo = addresses + len(body).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    return "good" if words_sum(pseudo + body) == 0xFFFF else "bad"
