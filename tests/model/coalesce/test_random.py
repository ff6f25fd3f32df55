"""What must hold for any packets, good or hostile; and that the random ones are worth it."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from random import Random
from struct import pack_into, unpack_from

import pytest

from sim.model.checksum import checksum
from sim.model.coalesce.coalescer import Limits, coalesce
from sim.model.coalesce.packet import Arrival, Delivery
from sim.model.coalesce.rules import DEEPEST, flow
from sim.model.parse import ETHERNET, parse
from sim.model.segment import CWR, FIN, PSH, finish, segment
from tests.support.decapsulate import verify
from tests.support.frames import ACK, ECE, RST, SYN, TIMESTAMPS, URG, Draw, samples, super_segment, tcp_frame

SEEDS = range(6)
FLOWS = 64
C_TAG = 0x8100


def check(arrivals: list[Arrival], delivered: list[Delivery]) -> None:
    """Every packet exactly once, in its flow's order, and back again when cut; bad ones alone, merged ones good."""
    taken = [arrival for delivery in delivered for arrival in delivery.arrivals]
    assert sorted(map(id, taken)) == sorted(map(id, arrivals)), "exactly once"
    place = {id(arrival): number for number, arrival in enumerate(arrivals)}
    by_flow: defaultdict[Hashable, list[int]] = defaultdict(list)
    for arrival in taken:
        if len(arrival.frame) >= ETHERNET and (key := flow(arrival, parse(arrival.frame))) is not None:
            by_flow[key].append(place[id(arrival)])
    assert all(places == sorted(places) for places in by_flow.values()), "a flow keeps its order"
    for delivery in delivered:
        assert delivery.cut_again() == [arrival.frame for arrival in delivery.arrivals]
        if delivery.segments > 1:
            assert {arrival.checksum for arrival in delivery.arrivals} == {"good"}
            assert delivery.checksum == "partial" and verify(delivery.complete) == "good"
            first = delivery.arrivals[0]
            assert {(one.vnet, one.tunnel, one.options) for one in delivery.arrivals} == {
                (first.vnet, first.tunnel, first.options)
            }


def arriving(packets: Iterable[bytes]) -> list[Arrival]:
    return [Arrival(packet, checksum=verify(packet)) for packet in packets]


def long_frame(random: Random, number: int = 0) -> tuple[bytes, int]:
    """A super-segment of flow `number` as a host writes it, of any length, and its gso_size."""
    version, gso_size = random.choice((4, 6)), random.randint(1, 1448)
    payload = random.randbytes(random.randint(gso_size + 1, min(60000, 40 * gso_size + 1)))
    frame = tcp_frame(
        version,
        payload,
        tags=random.choice(([], [], [(C_TAG, 5)])),
        flags=ACK | random.choice((0, FIN, PSH, FIN | PSH, ECE)),
        options=random.choice((b"", TIMESTAMPS)),
        sequence=random.choice((0xFFFFFFF0, random.getrandbits(32))),
        ports=(1024 + number, 80),
        ip={"identification": random.choice((0xFFFE, random.getrandbits(16)))} if version == 4 else {},
    )
    return frame, gso_size


@pytest.mark.parametrize("seed", range(60))
def test_a_cut_frame_is_whole_again(seed: int):
    frame, gso_size = long_frame(Random(seed))
    packets = segment(parse(frame), gso_size)
    (delivery,) = coalesce(arriving(packets))
    assert delivery.complete == finish(parse(frame))
    assert (delivery.gso_size, delivery.segments) == (gso_size, len(packets))
    assert delivery.cut_again() == packets


@pytest.mark.parametrize("seed", SEEDS)
def test_64_flows_packet_by_packet(seed: int):
    random = Random(seed)
    frames = [long_frame(random, number) for number in range(FLOWS)]
    waiting = [segment(parse(frame), gso_size) for frame, gso_size in frames]
    sent: list[bytes] = []
    while any(waiting):
        sent += [packets.pop(0) for packets in waiting if packets]
    arrivals = arriving(sent)
    delivered = coalesce(arrivals)
    check(arrivals, delivered)
    assert sorted(one.complete for one in delivered) == sorted(finish(parse(frame)) for frame, _ in frames)


def test_any_super_segment():
    """Random headers, options and flags: what goes alone, or has IPv4 options or deep headers, comes as it was cut."""
    whole = 0
    for sample in samples(seed=11, count=300, kinds=[super_segment], largest=20000):
        headers = parse(sample.frame)
        packets = segment(headers, sample.gso_size, accecn=True)
        arrivals = arriving(packets)
        delivered = coalesce(arrivals)
        check(arrivals, delivered)
        options = headers.ip_version == 4 and headers.l4 - headers.l3 > 20
        deep = headers.header_length > DEEPEST
        if options or deep or sample.frame[headers.l4 + 13] & (SYN | RST | URG | CWR):
            assert [one.frame for one in delivered] == packets, str(sample)
        else:
            (one,) = delivered
            assert one.complete == finish(headers), str(sample)
            whole += 1
    assert whole > 10


def spoil(random: Random, packet: bytes) -> bytes:
    """Change one thing in a segment, its checksums right again (but for the last two kinds)."""
    changed, headers = bytearray(packet), parse(packet)
    l3, l4 = headers.l3, headers.l4
    four = headers.ip_version == 4
    kind = random.randrange(14)
    if kind == 0:
        changed[l4 + 13] ^= random.choice((FIN, SYN, RST, PSH, ACK, URG, ECE, CWR))
    elif kind == 1:
        changed[l4 + 12] ^= random.choice((1, 2, 4, 8))  # AE and reserved bits
    elif kind == 2:
        pack_into("!I", changed, l4 + 4, (unpack_from("!I", changed, l4 + 4)[0] + random.choice((-1, 1, 500))) % 2**32)
    elif kind == 3:
        changed[l4 + random.choice((8, 11, 14, 15, 18, 19))] ^= 1 << random.randrange(8)  # ACK, window, urgent
    elif kind == 4 and headers.header_length > l4 + 20:
        changed[random.randrange(l4 + 20, headers.header_length)] ^= 1 << random.randrange(8)
    elif kind == 5:
        changed[l3 + (1 if four else 0)] ^= random.choice((1, 2, 4, 8))  # class, ECN
    elif kind == 6:
        changed[l3 + (8 if four else 7)] ^= 1  # TTL, hop limit
    elif kind == 7 and four:
        changed[l3 + 6] ^= random.choice((0x40, 0x80, 0x20))  # DF, reserved, MF
    elif kind == 8 and four:
        pack_into("!H", changed, l3 + 4, random.choice((unpack_from("!H", changed, l3 + 4)[0] + 1 & 0xFFFF, 7)))
    elif kind == 9:
        changed[random.randrange(12)] ^= 1  # MACs
    elif kind == 10:
        cut = headers.header_length + random.randrange(len(headers.payload) + 1)
        changed = bytearray(packet[:cut])
        at, less = (l3 + 2, l3) if four else (l3 + 4, l3 + 40)
        pack_into("!H", changed, at, cut - less)
    elif kind == 11:
        return bytes(changed) + random.randbytes(random.randint(1, 20))  # padding
    elif kind == 12:
        changed[random.randrange(l4, len(changed))] ^= 1 << random.randrange(8)
        return bytes(changed)
    elif kind == 13 and four:
        changed[l3 + 10] ^= 1
        return bytes(changed)
    if changed[l3] >> 4 != headers.ip_version:
        return bytes(changed)
    return finish(parse(bytes(changed)))


def hostile(random: Random) -> list[Arrival]:
    """A few flows' segments in two vnets: spoilt, lost, doubled, out of order, with their neighbours in between."""
    flows = []
    for number in range(random.randint(1, 6)):
        frame, gso_size = long_frame(random, number)
        gso_size = max(gso_size, len(parse(frame).payload) // 30 + 1)
        packets = segment(parse(frame), gso_size, fixed_id=random.random() < 0.2)
        for at in range(len(packets)):
            chance = random.random()
            if chance < 0.08:
                packets[at] = spoil(random, packets[at])
            elif chance < 0.1:
                packets[at] = packets[random.randrange(len(packets))]
            elif chance < 0.12:
                other = random.randrange(len(packets))
                packets[at], packets[other] = packets[other], packets[at]
        flows.append([packet for packet in packets if random.random() < 0.98])
    arrivals, time = [], 0
    while flows := [packets for packets in flows if packets]:
        packets = random.choice(flows)
        for packet in [packets.pop(0) for _ in range(min(len(packets), random.randint(1, 9)))]:
            time += random.choice((100, 100, 1000, 1000, 30_000))
            vnet = int(random.random() < 0.02)
            options = b"opt." if random.random() < 0.02 else b""
            control = random.random() < 0.01
            outer = random.choice((0, 50, 50, 50))
            arrivals.append(Arrival(packet, time, vnet, vnet or None, verify(packet), outer, options, control))
    return arrivals


@pytest.mark.parametrize("seed", range(150))
def test_hostile(seed: int):
    random = Random(seed)
    arrivals = hostile(random)
    check(arrivals, coalesce(arrivals, Limits(random.choice((1, 2, 64)), 1, random.choice((0, 5_000, 200_000)))))
    check(arrivals, coalesce(arrivals))


def test_hostile_packets_are_worth_it():
    """They end frames for every reason there is, and most of them are merged all the same."""
    reasons: Counter[str] = Counter()
    merged = packets = 0
    for seed in range(150):
        delivered = coalesce(hostile(Random(seed)))
        reasons.update(one.reason for one in delivered)
        packets += sum(one.segments for one in delivered)
        merged += sum(one.segments for one in delivered if one.segments > 1)
    alone = {"checksum", "control", "padded", "reserved_bit", "empty", "flags", "not_tcp"}
    ended = {"tunnel_options", "headers", "sequence", "identification", "push", "short", "idle", "flush"}
    assert alone | ended <= set(reasons)
    assert merged > packets / 2


def test_any_frame_at_all():
    """Whatever else comes between: runts, fragments, noise; checked or not."""
    random = Random(12)
    draw = Draw(random, 100)
    arrivals = [Arrival(sample.frame) for sample in samples(seed=13, count=400, largest=2000)]
    arrivals += [Arrival(draw.payload()) for _ in range(50)]
    assert sum(one.segments for one in coalesce(arrivals)) == len(arrivals)


@pytest.mark.parametrize("version", [4, 6])
def test_a_checksum_that_nobody_computes(version: int):
    """0xFFFF where a sender writes 0 is good, but would come back as 0: such a packet goes alone."""
    first = finish(parse(tcp_frame(version, bytes(2), sequence=1)))
    l4 = parse(first).l4
    second = bytearray(tcp_frame(version, bytes(2), sequence=3, ip={"identification": 0x1235} if version == 4 else {}))
    second = bytearray(finish(parse(bytes(second))))
    second[-2:] = second[l4 + 16 : l4 + 18]  # moved into the payload, it leaves 0 for the checksum
    second = bytearray(finish(parse(bytes(second))))
    assert second[l4 + 16 : l4 + 18] == b"\0\0"
    assert [one.segments for one in coalesce(arriving([first, bytes(second)]))] == [2]
    second[l4 + 16 : l4 + 18] = b"\xff\xff"
    assert verify(bytes(second)) == "good"
    assert [one.reason for one in coalesce(arriving([first, bytes(second)]))] == ["not_computed", "not_computed"]


def test_an_ipv4_checksum_that_nobody_computes():
    frame = bytearray(finish(parse(tcp_frame(4, b"data", ip={"identification": 0}))))
    (left,) = unpack_from("!H", frame, 24)  # goes into the identification, and leaves 0
    frame = bytearray(finish(parse(tcp_frame(4, b"data", ip={"identification": left}))))
    assert frame[24:26] == b"\0\0" == checksum(b"\xff\xff").to_bytes(2, "big")
    frame[24:26] = b"\xff\xff"
    (one,) = coalesce(arriving([bytes(frame)]))
    assert one.arrivals[0].checksum == "good" and one.reason == "not_computed"
