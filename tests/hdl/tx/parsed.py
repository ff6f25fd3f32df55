"""What the parser must say of a frame, written down a second time, from its bytes."""

from dataclasses import dataclass, field

LENGTH, ID, IP_CHECKSUM, SEQUENCE_HIGH, SEQUENCE_LOW, TCP_FLAGS, L4_CHECKSUM = range(1, 8)
TAGS = (0x8100, 0x88A8)
DEEPEST = 512


def word(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def ones_sum(words: list[int]) -> int:
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def crc16(message: bytes) -> int:
    value = 0xFFFF
    for byte in message:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


@dataclass
class Parsed:
    """Offsets in bytes. `end` is the end of the headers, None where the card may stop anywhere it likes (unparsed)."""

    l3: int = 14
    l4: int | None = None
    end: int | None = None
    ip_end: int = 0
    version: int = 0  # of a recognised IP header
    tos: int = 0
    tags: list[tuple[int, int]] = field(default_factory=list)
    protocol: str = ""  # "tcp" or "udp", where its header is sound
    unparsed: bool = False
    codes: dict[int, int] = field(default_factory=dict)  # code: byte; what a frame that is parsed must have


def parse(frame: bytes) -> Parsed:
    size = len(frame)
    found = Parsed(ip_end=size)
    if size < 14:
        found.l4 = found.end = 0
        return found
    kind = word(frame, 12)
    while kind in TAGS and len(found.tags) < 2 and size >= found.l3 + 4:
        found.tags.append((kind, word(frame, found.l3)))
        kind = word(frame, found.l3 + 2)
        found.l3 += 4
    if kind in (0x0800, 0x86DD):
        walk = ipv4 if kind == 0x0800 else ipv6
        if not walk(frame, found):
            found.unparsed, found.ip_end, found.l4, found.end, found.protocol = True, size, None, None, ""
    else:
        found.l4 = found.end = found.l3
    return found


def ipv4(frame: bytes, found: Parsed) -> bool:
    l3 = found.l3
    if len(frame) < l3 + 20 or frame[l3] >> 4 != 4:
        return False
    size = frame[l3] % 16 * 4
    if size < 20 or l3 + size > len(frame):
        return False
    found.version, found.tos, found.ip_end = 4, frame[l3 + 1], l3 + word(frame, l3 + 2)
    found.codes = {LENGTH: l3 + 2, ID: l3 + 4, IP_CHECKSUM: l3 + 10}
    found.l4 = found.end = l3 + size
    if word(frame, l3 + 2) < size or found.ip_end > len(frame):
        return False
    fragment = word(frame, l3 + 6) % 0x4000 != 0
    return fragment or upper(frame, found, frame[l3 + 9])


def ipv6(frame: bytes, found: Parsed) -> bool:
    l3 = found.l3
    if len(frame) < l3 + 40 or frame[l3] >> 4 != 6:
        return False
    found.version, found.tos, found.ip_end = 6, word(frame, l3) // 16 % 256, l3 + 40 + word(frame, l3 + 4)
    found.codes = {LENGTH: l3 + 4}
    if found.ip_end > len(frame):
        return False
    at, following, headers = l3 + 40, frame[l3 + 6], 0
    while following in (0, 43, 60):
        headers += 1
        if headers == 5 or at + 8 > found.ip_end:
            return False
        after = at + frame[at + 1] * 8 + 8
        if after > found.ip_end or after > DEEPEST or (following == 43 and frame[at + 3]):
            return False
        at, following = after, frame[at]
    found.l4 = found.end = at
    return upper(frame, found, following)


def upper(frame: bytes, found: Parsed, protocol: int) -> bool:
    l4 = found.l4
    assert l4 is not None
    if protocol == 6:
        if l4 + 20 > min(found.ip_end, DEEPEST):
            return False
        found.end, found.protocol = l4 + frame[l4 + 12] // 16 * 4, "tcp"
        found.codes |= {SEQUENCE_HIGH: l4 + 4, SEQUENCE_LOW: l4 + 6, TCP_FLAGS: l4 + 12, L4_CHECKSUM: l4 + 16}
        return l4 + 20 <= found.end <= min(found.ip_end, DEEPEST)
    if protocol == 17:
        if l4 + 8 > min(found.ip_end, DEEPEST) or word(frame, l4 + 4) != found.ip_end - l4:
            return False
        found.end, found.protocol = l4 + 8, "udp"
        found.codes |= {L4_CHECKSUM: l4 + 6}
    return True


def flow_hash(frame: bytes, found: Parsed) -> int:
    if not found.version or found.unparsed:
        front = ones_sum([word(frame, at) for at in range(0, found.l3, 2)]) if len(frame) >= 14 else 0
        return crc16(front.to_bytes(2, "big") + bytes(7))
    at, size = (found.l3 + 12, 4) if found.version == 4 else (found.l3 + 8, 16)
    sums = b"".join(
        ones_sum([word(frame, a) for a in range(start, start + size, 2)]).to_bytes(2, "big")
        for start in (at, at + size)
    )
    l4 = found.l4
    assert l4 is not None
    ports = frame[l4 : l4 + 4] if found.protocol else bytes(4)
    return crc16(sums + ports + bytes([{"tcp": 6, "udp": 17}.get(found.protocol, 0)]))
