"""The inner frame of a packet: its beats, its facts and its header rows, against the reference model."""

import os
from dataclasses import dataclass, field
from random import Random
from struct import pack, pack_into

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from hdl.registers.receive import ChecksumStatus
from hdl.rx.inner import InnerParse, Strip
from hdl.stream.paced_fifo import PACKET_PACE
from sim.model.checksum import ones_sum
from sim.model.coalesce.rules import common
from sim.model.parse import ETHERNET, TCP, UDP, Headers, parse, word
from sim.model.receive import verify
from sim.model.segment import finish, finish_partial, pseudo_header
from tests.hdl.rx.coalescing import link
from tests.support import frames
from tests.support.frames import Draw
from tests.support.mutations import mutate

SEED = int(os.environ.get("SEED", "1"))
PACKETS = int(os.environ.get("PACKETS", "50"))
STATUS = {verify.NONE: ChecksumStatus.NONE, verify.GOOD: ChecksumStatus.GOOD, verify.BAD: ChecksumStatus.BAD}


@dataclass(frozen=True)
class Packet:
    """A packet off the wire: what is taken for outer headers, and the frame behind it.

    ::

        │ outer ... │ frame .......... │ trailer │         `here`: only so many bytes of the frame have come
    """

    frame: bytes
    outer: bytes | None = None  # None: a bare frame
    here: int | None = None
    trailer: bytes = b""
    missing: int = 0  # bytes that even the outer headers lack at their end (nothing of the frame is here)

    @property
    def came(self) -> bytes:
        """From the frame's first byte to the packet's last."""
        return self.frame[: self.here] + self.trailer

    @property
    def wire(self) -> bytes:
        outer = self.outer or b""
        return outer[: len(outer) - self.missing] + self.came

    def __str__(self) -> str:
        outer = "bare" if self.outer is None else f"behind {len(self.outer)} bytes"
        return f"{outer}, {len(self.came)} of {len(self.frame)} bytes: {self.frame.hex()}"


@dataclass
class Seen:
    frames: list[tuple[bytes, int, int]] = field(default_factory=list)  # bytes, length on the first beat, size
    facts: list[dict] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)  # that came up to the facts of the same number
    cycles: list[int] = field(default_factory=list)  # from a packet's last beat to its facts
    latency: int = 0  # what the blocks say


class Both(Elaboratable):
    def __init__(self, width: int):
        self.strip, self.inner = Strip(width), InnerParse(width)
        self.latency = self.strip.latency + self.inner.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.strip, m.submodules.inner = self.strip, self.inner
        m.d.comb += [self.inner.i_valid.eq(self.strip.o_valid), self.inner.i.eq(self.strip.o)]
        return m


def beats_of(packet: Packet, width: int) -> list[dict]:
    wire = packet.wire
    beats = []
    for at in range(0, len(wire), width):
        chunk = wire[at : at + width]
        beat = {
            "data": int.from_bytes(chunk, "little"),
            "first": at == 0,
            "last": at + width >= len(wire),
            "bytes": len(chunk),
            "lane": 63 & ~1,  # counts with `switch` only
            "length": 0x15A5A,
        }
        if packet.outer is not None and at <= len(packet.outer) < at + width:
            beat |= {"switch": 1, "lane": len(packet.outer) - at, "length": len(packet.frame)}
        beats.append(beat)
    assert packet.outer is None or sum(beat.get("switch", 0) for beat in beats) == 1
    return beats


def plain(record) -> dict:
    return {name: getattr(record, name) for name, _ in record.shape()}


def run(width: int, given: list[Packet], *, gaps: Random | None = None) -> Seen:
    """Put packets through; `gaps` draws pauses."""
    dut, ends = Both(width), list[int]()
    strip, inner, seen = dut.strip, dut.inner, Seen(latency=dut.latency)

    async def drive(ctx):
        cycle = 0
        for packet in given:
            for beat in beats_of(packet, width):
                early = beat["last"] and ends and cycle + 1 < ends[-1] + PACKET_PACE[width]
                for _ in range(ends[-1] + PACKET_PACE[width] - cycle - 1 if early else 0):
                    ctx.set(strip.i_valid, 0)
                    await ctx.tick()
                    cycle += 1
                while gaps and gaps.random() < 0.3:
                    ctx.set(strip.i_valid, 0)
                    noise = {"data": gaps.getrandbits(8 * width), "lane": 2}
                    ctx.set(
                        strip.i, {name: gaps.getrandbits(1) for name in ("first", "last", "switch", "bytes")} | noise
                    )
                    await ctx.tick()
                    cycle += 1
                ctx.set(strip.i_valid, 1)
                ctx.set(strip.i, beat)
                await ctx.tick()
                cycle += 1
                if beat["last"]:
                    ends.append(cycle)
        ctx.set(strip.i_valid, 0)
        await ctx.tick().repeat(dut.latency + 1)

    async def watch(ctx):
        cycle, content, length, rows = 0, b"", 0, []
        outputs = (strip.o_valid, strip.o, inner.facts_valid, inner.facts, inner.row_valid, inner.row, inner.row_first)
        async for _, _, valid, beat, facts_valid, facts, row_valid, row, row_first in ctx.tick().sample(*outputs):
            cycle += 1
            if valid:
                if beat.first:
                    content, length = b"", beat.length
                content += beat.data.to_bytes(width, "little")
                assert beat.length == length or beat.last
                if beat.last and not beat.void:
                    seen.frames.append((content, beat.length, beat.size))
            if row_valid:
                rows = [row] if row_first else [*rows, row]
            if facts_valid:
                seen.facts.append(plain(facts))
                seen.rows.append(rows)
                seen.cycles.append(cycle - ends[len(seen.cycles)])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert len(seen.facts) == len(given)
    assert set(seen.cycles) <= {dut.latency, dut.latency - 1}
    return seen


def check(width: int, given: list[Packet], seen: Seen) -> None:
    for number, packet in enumerate(given):
        say = f"packet {number}, {packet}"
        content, length, size = seen.frames[number]
        came = packet.came
        assert content == came.ljust(max(-(-len(came) // width), 1) * width, b"\0"), say
        assert (length, size) == (len(came) if packet.outer is None else len(packet.frame), len(came)), say
        check_facts(packet, seen.facts[number], say)
        check_rows(width, packet, seen.facts[number], seen.rows[number], say)


def check_facts(packet: Packet, facts: dict, say: str) -> None:
    expected = expect(packet)
    wrong = {name: (facts[name], value) for name, value in expected.items() if facts[name] != value}
    assert not wrong, f"(got, expected) {wrong}; {say}"


def look(packet: Packet) -> tuple[Headers, bool, bool]:
    """What the model says of the whole frame; whether its headers are here, and whether its IP header is."""
    headers, here = parse(packet.frame), len(packet.came)
    ip = bool(headers.ip_version)
    l3 = headers.l3
    if ip:
        l3 += 4 * (packet.frame[l3] & 15) if headers.ip_version == 4 else 40
    return headers, not headers.unparsed and headers.header_length <= here, ip and l3 <= here


def expect(packet: Packet) -> dict:
    """The facts that must be; only those that apply."""
    if len(packet.frame) < ETHERNET:
        return {"runt": 1, "rows": 0, "tcp": 0, "udp": 0, "ip_status": 0, "l4_status": 0, "hash": 0, "has_ip": 0}
    headers, whole, has_ip = look(packet)
    frame, l3, l4 = headers.frame, headers.l3, headers.l4
    v4 = has_ip and headers.ip_version == 4
    summed = verify.inner_l4(headers) if whole else verify.NONE
    ports = whole and (headers.tcp or headers.udp)
    expected: dict = {
        "runt": 0,
        "unparsed": not whole,
        "has_ip": has_ip,
        "ipv6": has_ip and not v4,
        "tcp": whole and headers.tcp,
        "udp": headers.udp and summed != verify.NONE,
        "tos": headers.tos if has_ip else 0,
        "padded": whole and headers.ip_end != len(frame),
        "ip_status": STATUS[verify.inner_ip(headers)] if whole else 0,
        "l4_status": STATUS[summed],
        "hash": toeplitz(headers, ports=ports) if has_ip else 0,
    }
    if len(packet.came) >= 6:
        expected["dst_mac"] = int.from_bytes(frame[:6], "big")
    if whole or has_ip:
        expected |= {"tags": headers.tags, "l3": l3 // 2, "link": link(frame, headers.tags)}
    if whole:
        expected |= {"l4": l4 // 2, "header_words": headers.header_length // 2}
    if has_ip:
        expected |= {"tos_word": word(frame, l3), "ip_length": word(frame, l3 + (2 if v4 else 4))}
    if v4:
        expected |= {
            "id": word(frame, l3 + 4),
            "fragment_word": word(frame, l3 + 6),
            "ip_checksum": word(frame, l3 + 10),
        }
    if ports:
        start, end = pseudo_header(headers, headers.ip_end), min(headers.ip_end, len(packet.came))
        source, destination = headers.addresses
        at = l4 + (16 if headers.tcp else 6)
        expected |= {
            "payload": headers.ip_end - headers.header_length,
            "pseudo": ones_sum(source + destination, TCP if headers.tcp else UDP),
            "pseudo_whole": start,
            "l4_sum": ones_sum(packet.came[l4:end]),
            "l4_checksum": word(frame, at),
            # the sum is of what is here; where that is all of it, what the model said
            "l4_status": STATUS[summed]
            if end == headers.ip_end or summed == verify.NONE
            else STATUS[verify.good_or_bad(ones_sum(packet.came[l4:end], start) == 0xFFFF)],
            "partial": summed != verify.NONE and (word(frame, at) - start) % 0xFFFF == 0,
        }
    if whole and headers.tcp:
        expected |= {"sequence": int.from_bytes(frame[l4 + 4 : l4 + 8], "big"), "tcp_flags": word(frame, l4 + 12)}
    return expected


def toeplitz(headers: Headers, *, ports: bool) -> int:
    """Bit by bit, with the key written out."""
    message = b"".join(headers.addresses) + (headers.frame[headers.l4 : headers.l4 + 4] if ports else b"")
    key, bits = int.from_bytes(bytes.fromhex("6d5a" * 20), "big"), 320
    result = 0
    for at in range(8 * len(message)):
        if message[at // 8] >> (7 - at % 8) & 1:
            result ^= key >> (bits - 32 - at) & 0xFFFFFFFF
    return result


def check_rows(width: int, packet: Packet, facts: dict, rows: list[int], say: str) -> None:
    assert len(rows) <= 128 // width, say
    if not facts["tcp"]:
        assert facts["rows"] == 0, say
        return
    headers = parse(packet.frame)
    wanted = bytearray(common(headers))
    clear = 0xFF00 if headers.ip_version == 4 else 0xF00F
    pack_into("!H", wanted, headers.l3, word(bytes(wanted), headers.l3) & clear)
    wanted = bytearray(wanted.ljust(-(-len(wanted) // width) * width, b"\0")[:128])
    assert facts["rows"] == len(rows) == len(wanted) // width, say
    assert b"".join(row.to_bytes(width, "little") for row in rows) == wanted, say


def put_through(width: int, given: list[Packet], *, gaps: Random | None = None) -> Seen:
    seen = run(width, given, gaps=gaps)
    check(width, given, seen)
    return seen


def draw_frame(random: Random) -> bytes:
    """Any kind of frame, mostly short; many with good or partial checksums."""
    kind = random.choice(frames.GOOD + frames.HOSTILE)
    long = kind in (frames.super_segment, frames.truncated)
    frame = kind(Draw(random, 1400 if long else random.choice((1, 20, 120)))).frame
    if len(frame) >= ETHERNET:
        headers = parse(frame)
        choice = random.random()
        if choice < 0.5:
            frame = finish(headers)
        elif choice < 0.7 and headers.tcp:
            frame = finish_partial(headers)
        if choice < 0.15:
            frame = mutate(random, frame)
    return frame


def draw(random: Random, width: int) -> Packet:
    """Bare, tunnelled (with a trailer, or without), or the first fragment of an STT frame; the outer headers are noise,
    or another frame's headers."""
    frame = draw_frame(random)
    if random.random() < 0.4:
        return Packet((frame[: random.randint(1, 200)] if random.random() < 0.2 else frame) or b"\0")
    outer = random.randbytes(256) if random.random() < 0.3 else draw_frame(random).ljust(256, b"\0")
    outer = outer[: random.choice((2 * random.randint(1, 60), width * random.randint(1, 4)))]
    came = random.choice((None, None, random.randint(0, 120), random.randint(0, len(frame))))
    trailer = random.randbytes(random.choice((0, 0, 3, 40))) if came is None or came >= len(frame) else b""
    packet = Packet(frame, outer, came, trailer)
    return packet if packet.came or len(outer) % width else Packet(frame + b"\0", outer)


def again(width: int) -> str:
    return f"repeat: SEED={SEED} PACKETS={PACKETS} pytest tests/hdl/rx/test_inner.py -k 'random and {width}'"


@pytest.mark.parametrize("paused", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_random(width, paused):
    random = Random(SEED * 1000 + width + paused)
    given = [draw(random, width) for _ in range(PACKETS)]
    try:
        put_through(width, given, gaps=random if paused else None)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{again(width)}") from error


V4_OPTIONS = frames.tcp_frame(4, b"data", options=frames.TIMESTAMPS, ip={"options": bytes([7] * 8)})
V6_CHAIN = frames.udp_frame(6, b"data", ip={"extensions": [(0, frames.extension()), (43, frames.routing(0))]})
V6_PLAIN = frames.tcp_frame(6, b"data", flags=frames.ACK | frames.PSH | frames.FIN)
SHAPES = {"ipv4": V4_OPTIONS, "ipv6-chain": V6_CHAIN, "ipv6": V6_PLAIN, "arp": frames.arp()}


def tagged(frame: bytes, tags: int) -> bytes:
    return frame[:12] + bytes.fromhex("8100012388a80456")[: 4 * tags] + frame[12:]


FEW = (("ipv4", 1), ("ipv6-chain", 2), ("ipv6", 0), ("arp", 2))
ALL = [
    pytest.param(shape, tags, marks=() if (shape, tags) in FEW else pytest.mark.full)
    for shape in SHAPES
    for tags in range(3)
]


@pytest.mark.parametrize(("shape", "tags"), ALL)
def test_every_truncation(shape, tags):
    """A frame cut off behind each of its bytes: bare, in a tunnel with the rest behind it, and the first of STT's."""
    frame = finish(parse(tagged(SHAPES[shape], tags)))
    sizes = range(1, len(frame) + 1)
    bare = [Packet(frame[:size]) for size in sizes]
    first = [Packet(frame, bytes(6), here) for here in (0, *sizes)]
    tunnelled = [Packet(frame[:size], bytes(18), trailer=frame[size:]) for size in (0, *sizes)]
    put_through(8, [packet for three in zip(first, tunnelled, [bare[0], *bare], strict=True) for packet in three])
    if shape == "ipv4":
        put_through(64, bare + first + tunnelled)


@pytest.mark.parametrize("width", [8, 64])
def test_every_beginning(width):
    """The frame begins at any even byte of the first five beats, and ends at any byte of a beat; back to back."""
    given = []
    for start in range(2, 5 * width, 2 if width == 8 else 6):
        frame = finish(parse(frames.tcp_frame(4 + 2 * (start % 4 == 0), bytes(range(start % 67)))))
        given += [Packet(frame, V6_PLAIN.ljust(400, b"x")[:start]), Packet(frame)]
    put_through(width, given)


def with_byte(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes([value]) + frame[at + 1 :]


def test_every_size_field():
    """All versions that matter, all sizes of the IPv4 and the TCP header, lengths around the true ones."""
    v6 = V6_PLAIN
    given = [with_byte(frame, 14, v << 4 | ihl) for frame in (V4_OPTIONS, v6) for v in (4, 5, 6) for ihl in range(16)]
    given += [with_byte(V4_OPTIONS, 14 + 28 + 12, size << 4) for size in range(16)]
    given += [with_byte(V4_OPTIONS, 17, size) for size in range(20, len(V4_OPTIONS) + 2)]
    given += [with_byte(v6, 19, size) for size in range(len(v6) - 52)]
    given += [with_byte(V6_CHAIN, 14 + 40 + 32 + 5, size) for size in range(16)]
    packets = [Packet(frame) for frame in given]
    put_through(8, packets)
    put_through(
        8, [Packet(frame, bytes(22), max(len(frame) - number % 50, 0)) for number, frame in enumerate(given[::3])]
    )


@pytest.mark.parametrize("width", [8, 64])
def test_deepest_headers(width):
    """Around 512 bytes of headers, around four extension headers, around 128 bytes of header rows."""
    deep = []
    for filler in range(54, 59):  # extension headers of 8 bytes: TCP or UDP ends at, before or behind byte 512
        chain = [(60, frames.extension(size)) for size in (8 * (filler - 3), 8, 8, 8)]
        for options in (0, 8, 12, 20):
            deep.append(frames.tcp_frame(6, b"payload", options=bytes(options), ip={"extensions": chain}))
        deep.append(frames.udp_frame(6, b"payload", ip={"extensions": chain}))
        deep.append(frames.ethernet(frames.IPV6, frames.ipv6(frames.ICMPV6, b"payload", extensions=chain)))
    for count in range(7):
        chain = [(60, frames.extension(16))] * count
        deep.append(frames.tcp_frame(6, b"", ip={"extensions": chain}))
    for tags in range(3):
        for options in (0, 20, 32, 40):
            for size in (0, 8, 16):
                chain = [(60, frames.extension(size))] if size else []
                frame = frames.tcp_frame(6, b"!", options=b"\1" * options, ip={"extensions": chain})
                deep.append(tagged(frame, tags))
    assert {parse(frame).unparsed for frame in deep} == {False, True}
    put_through(width, [Packet(finish(parse(frame)), None if n % 2 else bytes(10)) for n, frame in enumerate(deep)])


@pytest.mark.parametrize("width", [8, 64])
def test_checksums(width):
    """Sums that come out as either zero, odd ends, padding of any kind, fields that hold the pseudo-header's sum."""
    random, given = Random(SEED), []
    for size in (0, 1, 7, 8, 65):
        for version in (4, 6):
            for make in (frames.tcp_frame, frames.udp_frame):
                filler = random.choice((b"\0" * size, b"\xff" * size, random.randbytes(size)))
                good = finish(parse(make(version, filler)))
                headers = parse(good)
                at = headers.l4 + (16 if headers.tcp else 6)
                start = pseudo_header(headers, headers.ip_end)
                for value in (start, start ^ 0xFFFF, 0, 0xFFFF, word(good, at), word(good, at) + 1 & 0xFFFF):
                    frame = good[:at] + pack("!H", value) + good[at + 2 :]
                    given.append(Packet(frame + random.choice((b"", b"\xff", b"\0\0", b"\1" * 9))))
    for total in (0, 0xFFFF):  # a pseudo-header that sums to 0xFFFF, a segment that sums to 0
        for frame in (frames.tcp_frame(4, b""), frames.udp_frame(4, b"")):
            headers = parse(frame)
            rest = ones_sum(
                frame[headers.l3 + 12 : headers.l3 + 18], (TCP if headers.tcp else UDP) + headers.ip_end - headers.l4
            )
            frame = frame[: headers.l3 + 18] + pack("!H", 0xFFFF - rest) + frame[headers.l3 + 20 :]
            assert pseudo_header(parse(frame), headers.ip_end) == 0xFFFF
            at = headers.l4 + (16 if headers.tcp else 6)
            given.append(Packet(frame[:at] + pack("!H", total) + frame[at + 2 :]))
            given.append(Packet(finish(parse(frame))))
    high = width // 2 - 1  # words of 0xFFFF, and one with which a beat's sum has a carry when it is folded
    for shift in range(0, width, 2):
        filler = bytes(shift) + (b"\xff\xff" * high + pack("!H", high - 1)) * 2
        given.append(Packet(finish(parse(frames.tcp_frame(4, filler)))))
    for filler in (b"\xff" * 9000, random.randbytes(9001)):
        given.append(Packet(finish(parse(frames.tcp_frame(6, filler))) + b"\1" * 9, bytes(34)))
    zeros = bytes(12) + b"\x08\x00" + frames.ipv4(TCP, bytes(12) + b"\x50" + bytes(27))
    given += [Packet(zeros), Packet(finish(parse(zeros)))]
    put_through(width, given)


def test_a_packet_a_cycle():
    """Packets of one beat give facts each cycle; a beat that is void does not cost one."""
    given = [Packet(frames.udp_frame(4, bytes([k])), bytes(2) if k % 2 else None) for k in range(30)]
    seen = put_through(64, given)
    assert set(seen.cycles) == {seen.latency}


@pytest.mark.parametrize("width", [8, 64])
def test_nothing_is_left(width):
    """The outer headers end the packet, or even lie about their own end: facts come, one a packet, and say so."""
    given = []
    for start in range(2, 3 * width, 2 if width == 8 else 10):
        missing = range(min(start % width, 5))
        given += [Packet(V4_OPTIONS, V6_CHAIN.ljust(200)[:start], 0, missing=some) for some in missing]
        given.append(Packet(V6_PLAIN))
    put_through(width, given)


@pytest.mark.full
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_many(width):
    for seed in range(8):
        random = Random(SEED * 1000 + 100 * width + seed)
        put_through(width, [draw(random, width) for _ in range(300)], gaps=random if seed % 2 else None)
