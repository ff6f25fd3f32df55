"""Packets as a broken network or an attacker sends them, made of good ones.

::

    good packets ── changed: bits, lengths, tags, tails, checksums made right again ── lost, doubled, out of order
"""

from collections.abc import Callable, Iterable
from random import Random
from struct import pack, pack_into, unpack_from

from tests.support.receivers import complement, refresh_ip
from tests.support.wire import words_sum

ETHERNET, SHORTEST_IP4, IP6 = 14, 20, 40
TCP, UDP, GRE = 6, 17, 47
GRE_CHECKSUM = 0x80  # the C bit, in the first byte
TAGS = (b"\x81\x00", b"\x88\xa8")
WINDOW = 8  # packets that a late one may let pass


def mutate(random: Random, packet: bytes) -> bytes:
    """Some bits, bytes or words changed, mostly in the headers; cut, repeated, or with more behind."""
    data = bytearray(packet)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(min(len(data), random.choice((60, 120, 1500))))
        match random.randrange(6):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at] = random.choice((0, 0xFF, random.randrange(256)))
            case 2:
                del data[max(at, 1) :]
            case 3:
                data[at:at] = random.randbytes(random.randrange(1, 9))
            case 4:
                data += random.randbytes(random.randrange(1, 30))
            case _:
                del data[at : at + random.randrange(1, 9)]
        data = data or bytearray(1)
    if len(data) > 33 and data[12:14] == b"\x08\x00" and 20 <= 4 * (data[14] & 15) <= len(data) - 14:
        data = bytearray(refresh_ip(bytes(data))) if random.random() < 0.7 else data
    return bytes(data)


def layers(packet: bytes) -> tuple[int, int, int] | None:
    """Where the outer IP header and what it carries begin, and the protocol; None where there is no room for them."""
    l3 = ETHERNET
    while packet[l3 - 2 : l3] in TAGS:
        l3 += 4
    kind = packet[l3 - 2 : l3]
    if kind == b"\x08\x00" and len(packet) >= l3 + SHORTEST_IP4:
        l4, protocol = l3 + 4 * (packet[l3] & 15), packet[l3 + 9]
    elif kind == b"\x86\xdd" and len(packet) >= l3 + IP6:
        l4, protocol = l3 + IP6, packet[l3 + 6]
    else:
        return None
    return (l3, l4, protocol) if l3 + SHORTEST_IP4 <= l4 <= len(packet) else None


def made_right(packet: bytes) -> bytes:
    """The packet with its outer lengths and checksums as they should be, wherever there are any."""
    found = layers(packet)
    if found is None:
        return packet
    l3, l4, _ = found
    data = bytearray(packet)
    if data[l3 - 2] == 0x08:
        pack_into("!H", data, l3 + 2, len(data) - l3 & 0xFFFF)
    else:
        pack_into("!H", data, l3 + 4, len(data) - l4 & 0xFFFF)
    if found[2] == UDP and len(data) >= l4 + 8:
        pack_into("!H", data, l4 + 4, len(data) - l4 & 0xFFFF)
    return summed(bytes(data))


def summed(packet: bytes) -> bytes:
    """The packet with its outer checksums as they should be, whatever its lengths say."""
    found = layers(packet)
    if found is None:
        return packet
    l3, l4, protocol = found
    ip4 = packet[l3 - 2] == 0x08
    packet = refresh_ip(packet, l3) if ip4 else packet
    addresses = packet[l3 + 12 : l3 + 20] if ip4 else packet[l3 + 8 : l3 + 40]
    end = l3 + unpack_from("!H", packet, l3 + 2)[0] if ip4 else l4 + unpack_from("!H", packet, l3 + 4)[0]
    pseudo, at = addresses + pack("!II", max(0, end - l4), protocol), {TCP: 16, UDP: 6, GRE: 4}.get(protocol)
    if at is None or not l4 + at + 2 <= end <= len(packet):
        return packet
    body = bytearray(packet[l4:end])
    if protocol == GRE:
        pseudo = b""
    if (protocol == UDP and body[6:8] == b"\0\0") or (protocol == GRE and not body[0] & GRE_CHECKSUM):
        return packet
    body[at : at + 2] = bytes(2)
    body[at : at + 2] = complement(words_sum(pseudo + bytes(body)))
    return packet[:l4] + bytes(body) + packet[end:]


# -- ways to change a packet


def bits(random: Random, packet: bytes) -> bytes:
    return mutate(random, packet)


def believable(random: Random, packet: bytes) -> bytes:
    """Changed anywhere; lengths and checksums agree with it again, so that more than they are looked at."""
    return random.choice((made_right, summed))(mutate(random, packet))


def behind_the_headers(random: Random, packet: bytes) -> bytes:
    """Bytes of the tunnel's header or the inner headers, with a good outer checksum or a bad one."""
    found, data = layers(packet), bytearray(packet)
    start = found[1] if found else 0
    for _ in range(random.choice((1, 1, 2, 3))):
        if start < len(data):
            at = min(len(data) - 1, start + random.randrange(random.choice((8, 20, 40, 120))))
            data[at] = random.choice((0, 0xFF, data[at] ^ 1 << random.randrange(8), random.randrange(256)))
    return summed(bytes(data)) if random.random() < 0.8 else bytes(data)


def length(random: Random, packet: bytes) -> bytes:
    """A length or offset of the outer headers that is a little, or very, wrong."""
    found, data = layers(packet), bytearray(packet)
    if found is None:
        return packet + random.randbytes(random.randrange(1, 9))
    l3, l4, protocol = found
    fields = [l3 + 2 if data[l3 - 2] == 0x08 else l3 + 4]
    fields += {UDP: [l4 + 4], TCP: [l4 + 4, l4 + 6]}.get(protocol, [])  # STT: frame length, offset
    at = random.choice(fields)
    if at + 2 <= len(data):
        was = unpack_from("!H", data, at)[0]
        value = random.choice(
            (0, 0xFFFF, was + random.choice((-20, -9, -8, -2, -1, 1, 2, 8, 30)), random.getrandbits(16))
        )
        pack_into("!H", data, at, value & 0xFFFF)
    return summed(bytes(data)) if random.random() < 0.8 else bytes(data)


def tags(random: Random, packet: bytes) -> bytes:
    """One to three tags in front of what was there."""
    count = random.choice((1, 1, 2, 3))
    return packet[:12] + b"".join(random.choice(TAGS) + random.randbytes(2) for _ in range(count)) + packet[12:]


def tail(random: Random, packet: bytes) -> bytes:
    """More behind: Ethernet padding, now and then as much as the card takes, or more."""
    most = 9300 if random.random() < 0.005 else random.choice((4, 64, 200))
    return packet + random.randbytes(random.randint(1, most))


def cut(random: Random, packet: bytes) -> bytes:
    """Cut short, anywhere or within the headers; what is left may be consistent."""
    left = packet[: random.randint(1, min(len(packet), random.choice((60, 130, len(packet)))))]
    return made_right(left) if random.random() < 0.5 else left


def ip_options(random: Random, packet: bytes) -> bytes:
    """Four to forty bytes of IPv4 options, or a header that only says so."""
    found = layers(packet)
    if found is None or packet[found[0] - 2] != 0x08 or found[1] - found[0] != SHORTEST_IP4:
        return mutate(random, packet)
    words = random.randint(1, 10)
    added = random.randbytes(4 * words) if random.random() < 0.8 else b""
    return random.choice((made_right, summed))(with_ip_options(packet, words, added))


def with_ip_options(packet: bytes, words: int, options: bytes) -> bytes:
    """An outer IPv4 header without options given some, and a length of so many words more."""
    found = layers(packet)
    assert found is not None
    l3, l4, _ = found
    return packet[:l3] + bytes([0x45 + words]) + packet[l3 + 1 : l4] + options + packet[l4:]


def fragment(random: Random, packet: bytes) -> bytes:
    """Flags and offset of an outer IPv4 fragment."""
    found = layers(packet)
    if found is None or packet[found[0] - 2] != 0x08:
        return mutate(random, packet)
    data = bytearray(packet)
    pack_into("!H", data, found[0] + 6, random.choice((0x2000, 0x8000, 1, random.getrandbits(16))))
    return summed(bytes(data))


def noise(random: Random, packet: bytes) -> bytes:
    """Nothing of it is left; now and then it looks like IP to somebody."""
    size = random.randint(1, random.choice((64, 200, 1500)))
    start = packet[: random.choice((0, 12, 14, 14, 34, 42))]
    return summed((start + random.randbytes(size))[: max(size, len(start))])


WAYS: tuple[tuple[Callable[[Random, bytes], bytes], int], ...] = (
    (bits, 6),
    (believable, 5),
    (behind_the_headers, 8),
    (length, 5),
    (tags, 2),
    (tail, 2),
    (cut, 3),
    (ip_options, 1),
    (fragment, 1),
    (noise, 1),
)
"""Ways to change a packet, and how often each is taken."""


def changed(random: Random, packet: bytes) -> bytes:
    """The packet, changed in one or two of these ways."""
    ways, weights = zip(*WAYS, strict=True)
    for way in random.choices(ways, weights, k=random.choice((1, 1, 1, 2))):
        packet = way(random, packet) or b"\0"
    return packet


def disordered(random: Random, packets: Iterable[bytes]) -> list[bytes]:
    """Some lost, some twice, some late by up to `WINDOW` places; a few late by far."""
    kept: list[tuple[float, bytes]] = []
    for number, packet in enumerate(packets):
        if random.random() < 0.03:
            continue
        late = random.choices((0, WINDOW, 50 * WINDOW), (0.8, 0.19, 0.01))[0]
        kept.append((number + random.random() * late, packet))
        if random.random() < 0.05:
            kept.append((number + random.random() * random.choice((1, WINDOW, 50 * WINDOW)), packet))
    return [packet for _, packet in sorted(kept, key=lambda one: one[0])]
