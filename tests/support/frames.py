"""Frames to try a card with: builders for each layer, and a seeded stream of good and hostile frames.

The builders leave checksums as a host with offload does: whatever stands there must not be trusted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from struct import pack, pack_into

GUEST = bytes.fromhex("52540000aa01")
PEER = bytes.fromhex("52540000bb01")
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
C_TAG, S_TAG = 0x8100, 0x88A8
ICMP, TCP, UDP, ESP, AH, ICMPV6, NONE = 1, 6, 17, 50, 51, 58, 59
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << k for k in range(8))
TIMESTAMPS = bytes.fromhex("0101080a0102030405060708")

V4 = (bytes.fromhex("0a010002"), bytes.fromhex("0a020002"))
V6 = (bytes.fromhex("fd01" + "00" * 13 + "02"), bytes.fromhex("fd02" + "00" * 13 + "02"))

Tags = Sequence[tuple[int, int]]  # (TPID, TCI), outermost first


def ethernet(kind: int, payload: bytes, *, tags: Tags = (), to: bytes = PEER, of: bytes = GUEST) -> bytes:
    return to + of + b"".join(pack("!HH", *tag) for tag in tags) + pack("!H", kind) + payload


def ipv4(
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    tos: int = 0,
    identification: int = 0x1234,
    flags_and_offset: int = 0x4000,
    checksum: int = 0,
    addresses: tuple[bytes, bytes] = V4,
) -> bytes:
    """`flags_and_offset`: 0x4000 DF, 0x2000 MF, and the fragment's offset / 8."""
    size = 20 + len(options)
    start = pack(
        "!BBHHHBBH",
        0x40 | size // 4,
        tos,
        size + len(payload),
        identification,
        flags_and_offset,
        64,
        protocol,
        checksum,
    )
    return start + b"".join(addresses) + options + payload


def ipv6(
    protocol: int,
    payload: bytes,
    *,
    extensions: Sequence[tuple[int, bytes]] = (),
    tos: int = 0,
    label: int = 0xABCDE,
    addresses: tuple[bytes, bytes] = V6,
) -> bytes:
    """`extensions`: (type, bytes after "next header"); `extension` makes such bytes."""
    kinds = [kind for kind, _ in extensions] + [protocol]
    chain = b"".join(bytes([after]) + body for after, (_, body) in zip(kinds[1:], extensions, strict=True))
    start = pack("!IHBB", 6 << 28 | tos << 20 | label, len(chain) + len(payload), kinds[0], 64)
    return start + b"".join(addresses) + chain + payload


def extension(size: int = 8, content: bytes = b"\x01\x04\0\0\0\0") -> bytes:
    """An extension header of `size` bytes (8 to 2048), but its first byte; the default content is a PadN option."""
    return bytes([size // 8 - 1]) + content.ljust(size - 2, b"\0")[: size - 2]


def routing(segments_left: int, addresses: int = 1) -> bytes:
    return extension(8 + 16 * addresses, bytes([4, segments_left, addresses - 1, 0, 0, 0]) + V6[1] * addresses)


def tcp(
    payload: bytes,
    *,
    options: bytes = b"",
    flags: int = ACK,
    sequence: int = 1,
    urgent: int = 0,
    checksum: int = 0xBAD0,
    ports: tuple[int, int] = (40000, 5001),
) -> bytes:
    doff = (20 + len(options)) // 4
    return (
        pack("!HHIIBBHHH", *ports, sequence, 0x01020304, doff << 4, flags, 0x1000, checksum, urgent) + options + payload
    )


def udp(payload: bytes, *, checksum: int = 0xBAD0, ports: tuple[int, int] = (5353, 53)) -> bytes:
    """`checksum` 0 says that there is none."""
    return pack("!HHHH", *ports, 8 + len(payload), checksum) + payload


def arp() -> bytes:
    return ethernet(ARP, pack("!HHBBH", 1, IPV4, 6, 4, 1) + GUEST + V4[0] + bytes(6) + V4[1], to=b"\xff" * 6)


def tcp_frame(
    version: int, payload: bytes, *, tags: Tags = (), ip: dict[str, object] | None = None, **more: object
) -> bytes:
    """Ethernet, IP and TCP with defaults; `ip` goes to `ipv4` or `ipv6`, the rest to `tcp`."""
    make, kind = (ipv4, IPV4) if version == 4 else (ipv6, IPV6)
    return ethernet(kind, make(TCP, tcp(payload, **more), **(ip or {})), tags=tags)  # type: ignore[arg-type]


def udp_frame(
    version: int, payload: bytes, *, tags: Tags = (), ip: dict[str, object] | None = None, **more: object
) -> bytes:
    """Ethernet, IP and UDP with defaults."""
    make, kind = (ipv4, IPV4) if version == 4 else (ipv6, IPV6)
    return ethernet(kind, make(UDP, udp(payload, **more), **(ip or {})), tags=tags)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sample:
    """One frame, and how the host hands it over."""

    kind: str
    frame: bytes
    gso_size: int = 0
    accecn: bool = False

    def __str__(self) -> str:
        return f"{self.kind}, {len(self.frame)} bytes, gso_size {self.gso_size}" + ", accecn" * self.accecn


class Draw:
    """Random layers out of one `Random`; payloads up to `largest` bytes."""

    def __init__(self, random: Random, largest: int) -> None:
        self.random, self.largest = random, largest

    def payload(self, least: int = 0, most: int | None = None) -> bytes:
        """Any length, but often a very short one."""
        most = self.largest if most is None else min(most, self.largest)
        return self.random.randbytes(
            self.random.choice(
                (least, self.random.randint(least, min(least + 64, most)), self.random.randint(least, most))
            )
        )

    def tags(self) -> Tags:
        count = self.random.choice((0, 0, 0, 1, 1, 2))
        kinds = [self.random.choice((C_TAG, C_TAG, S_TAG)) for _ in range(count)]
        return [(kind, self.random.getrandbits(16)) for kind in kinds]

    def words(self, most: int) -> bytes:
        """TCP options' space: any bytes, a multiple of 4."""
        return self.random.randbytes(4 * self.random.choice((0, 0, 3, self.random.randint(0, most // 4))))

    def ip_options(self) -> bytes:
        """Padding, timestamps or record route; never a source route, which changes what TCP's checksum covers."""
        space = 4 * self.random.choice((0, 0, 0, 1, self.random.randint(0, 10)))
        return (bytes([self.random.choice((7, 68, 148)), space]) + self.random.randbytes(40))[:space] if space else b""

    def extensions(self, most: int = 3) -> list[tuple[int, bytes]]:
        chain = []
        for _ in range(self.random.choice((0, 0, 0, self.random.randint(0, most)))):
            kind = self.random.choice((HOP_BY_HOP, DESTINATION, DESTINATION, ROUTING))
            chain.append((kind, routing(0) if kind == ROUTING else extension(8 * self.random.randint(1, 4))))
        return chain

    def addresses(self, size: int) -> tuple[bytes, bytes]:
        return self.random.randbytes(size), self.random.randbytes(size)

    def ip(self, version: int, protocol: int, payload: bytes, **more: object) -> bytes:
        """An Ethernet frame with this IP payload."""
        random, tos = self.random, self.random.getrandbits(8)
        if version == 4:
            fields: dict[str, object] = {
                "options": self.ip_options(),
                "identification": random.choice((0, 0xFFFE, random.getrandbits(16))),
                "flags_and_offset": random.choice((0, 0x4000)),
                "checksum": random.getrandbits(16),
            }
            packet = ipv4(protocol, payload, tos=tos, addresses=self.addresses(4), **{**fields, **more})  # type: ignore[arg-type]
            return ethernet(IPV4, packet, tags=self.tags())
        fields = {"extensions": self.extensions(), "label": random.getrandbits(20)}
        packet = ipv6(protocol, payload, tos=tos, addresses=self.addresses(16), **{**fields, **more})  # type: ignore[arg-type]
        return ethernet(IPV6, packet, tags=self.tags())

    def tcp(self, payload: bytes, **more: object) -> bytes:
        random = self.random
        fields: dict[str, object] = {
            "options": self.words(40),
            "flags": random.getrandbits(8),
            "sequence": random.choice((0xFFFFFFFF, random.getrandbits(32))),
            "urgent": random.choice((0, random.getrandbits(16))),
            "checksum": random.getrandbits(16),
            "ports": (random.getrandbits(16), random.getrandbits(16)),
        }
        return tcp(payload, **{**fields, **more})  # type: ignore[arg-type]

    def udp(self, payload: bytes, **more: object) -> bytes:
        ports = (self.random.getrandbits(16), self.random.getrandbits(16))
        return udp(payload, ports=ports, **{"checksum": self.random.randint(1, 0xFFFF), **more})  # type: ignore[arg-type]

    def version(self) -> int:
        return self.random.choice((4, 6))


def small(draw: Draw) -> Sample:
    """TCP that needs no cutting; a gso_size may stand beside it all the same."""
    payload = draw.payload(most=1400)
    frame = draw.ip(draw.version(), TCP, draw.tcp(payload))
    return Sample("tcp", frame, draw.random.choice((0, len(payload), len(payload) + 1, 1400)) & 0xFFFF)


def super_segment(draw: Draw) -> Sample:
    """TCP to be cut."""
    gso_size = draw.random.choice((536, 1200, 1360, draw.random.randint(88, 1380)))
    payload = draw.payload(gso_size + 1)
    edge = draw.random.choice((0, 0, 0, 1))  # now and then a whole number of segments
    payload = payload[: len(payload) // gso_size * gso_size] if edge and len(payload) >= 2 * gso_size else payload
    frame = draw.ip(draw.version(), TCP, draw.tcp(payload))
    return Sample("super-segment", frame, gso_size, draw.random.random() < 0.3)


def datagram(draw: Draw) -> Sample:
    checksum = draw.random.choice((0, 1, draw.random.randint(1, 0xFFFF)))
    return Sample(
        "udp",
        draw.ip(draw.version(), UDP, draw.udp(draw.payload(most=1400), checksum=checksum)),
        draw.random.choice((0, 500)),
    )


def address_resolution(draw: Draw) -> Sample:
    return Sample("arp", arp() + bytes(draw.random.choice((0, 18))))


def fragment(draw: Draw) -> Sample:
    """A piece of an IP packet: it may begin like TCP, and must be left alone."""
    inner, version = draw.tcp(draw.payload(most=1200)), draw.version()
    offset = draw.random.choice((0, 1, draw.random.getrandbits(13)))
    more = draw.random.getrandbits(1) or offset == 0
    if version == 4:
        return Sample("fragment", draw.ip(4, TCP, inner, flags_and_offset=offset | more << 13), 500)
    header = pack("!BHI", 0, offset << 3 | more, draw.random.getrandbits(32))
    return Sample("fragment", draw.ip(6, TCP, inner, extensions=[*draw.extensions(), (FRAGMENT, header)]), 500)


def other_protocol(draw: Draw) -> Sample:
    protocol = draw.random.choice((ICMP, ICMPV6, ESP, AH, NONE, 132, 47))
    return Sample("other protocol", draw.ip(draw.version(), protocol, draw.payload(most=1400)))


def padded(draw: Draw) -> Sample:
    """An IP packet with Ethernet padding behind it: no part of it, and never cut."""
    protocol, make = draw.random.choice(((TCP, draw.tcp), (UDP, draw.udp)))
    body = make(draw.payload(most=600))
    return Sample("padded", draw.ip(draw.version(), protocol, body) + draw.payload(1, 64), draw.random.choice((0, 100)))


def chain(draw: Draw) -> Sample:
    """IPv6 extension headers, too many and too deep ones included."""
    random = draw.random
    headers = []
    for _ in range(random.randint(1, 6)):
        kind = random.choice((HOP_BY_HOP, ROUTING, DESTINATION, DESTINATION))
        left = random.choice((0, 0, 1))
        size = 8 * random.choice((1, 1, 4, random.randint(1, 40)))
        headers.append((kind, routing(left) if kind == ROUTING else extension(size)))
    return Sample(
        "chain", draw.ip(6, TCP, draw.tcp(draw.payload(most=800)), extensions=headers), random.choice((0, 300))
    )


def truncated(draw: Draw) -> Sample:
    """Cut short anywhere, mostly within the headers."""
    frame = draw.random.choice((small, datagram, chain, super_segment))(draw).frame[:1400]
    return Sample(
        "truncated", frame[: draw.random.randint(0, min(len(frame), draw.random.choice((90, 90, 1400))))], 400
    )


def lying(draw: Draw) -> Sample:
    """One field of a good frame says something else."""
    sample = draw.random.choice((small, datagram, chain))(draw)
    frame, random = bytearray(sample.frame), draw.random
    l3 = 14
    while frame[l3 - 2 : l3] in (pack("!H", C_TAG), pack("!H", S_TAG)):
        l3 += 4
    ipv4_fields = [
        (0, 0x40 | random.getrandbits(4)),
        (0, random.getrandbits(8)),
        (2, None),
        (9, random.getrandbits(8)),
        (32, random.getrandbits(8)),
        (24, None),
    ]
    ipv6_fields = [
        (0, random.getrandbits(8)),
        (4, None),
        (6, random.getrandbits(8)),
        (41, random.getrandbits(8)),
        (44, None),
        (52, random.getrandbits(8)),
    ]
    at, value = random.choice(ipv4_fields if frame[l3 - 2 : l3] == pack("!H", IPV4) else ipv6_fields)
    at += l3
    if value is not None:
        if at < len(frame):
            frame[at] = value
    elif at + 2 <= len(frame):
        was = int.from_bytes(frame[at : at + 2], "big")
        pack_into(
            "!H",
            frame,
            at,
            random.choice((0, 0xFFFF, was - 1 & 0xFFFF, was + 1 & 0xFFFF, was + 8 & 0xFFFF, random.getrandbits(16))),
        )
    return Sample("lying", bytes(frame), sample.gso_size)


def strange(draw: Draw) -> Sample:
    """No IP: unknown types, three tags, a type that is cut off tags, plain noise."""
    random = draw.random
    kind = random.choice((0x88CC, 0x8100, 0x88A8, random.getrandbits(16), 46))
    tags = [(C_TAG, random.getrandbits(16))] * random.choice((0, 0, 1, 2, 3))
    return Sample(
        "strange", ethernet(kind, draw.payload(most=1400), tags=tags, to=random.randbytes(6)), random.choice((0, 100))
    )


GOOD: tuple[Callable[[Draw], Sample], ...] = (
    small,
    super_segment,
    datagram,
    address_resolution,
    fragment,
    other_protocol,
    padded,
)
HOSTILE: tuple[Callable[[Draw], Sample], ...] = (chain, truncated, lying, strange)


def samples(
    seed: int,
    count: int,
    *,
    kinds: Sequence[Callable[[Draw], Sample]] = GOOD + HOSTILE,
    largest: int = 9000,
) -> Iterator[Sample]:
    """`count` random frames of these kinds; the same seed gives the same ones. `largest`: bytes of payload."""
    draw = Draw(Random(seed), largest)
    for _ in range(count):
        yield draw.random.choice(kinds)(draw)
