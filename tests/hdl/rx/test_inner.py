"""The inner frame of a packet: its beats, its facts and its header rows, against the reference model."""

import os
from dataclasses import dataclass, field
from functools import partial
from random import Random
from struct import pack, pack_into

import pytest
from amaranth import Module
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from hdl.registers.receive import ChecksumStatus
from hdl.rx.inner import InnerParse, Strip
from sim.model.checksum import ones_sum
from sim.model.coalesce.rules import common
from sim.model.parse import ETHERNET, TCP, UDP, Headers, parse, word
from sim.model.receive import verify
from sim.model.segment import finish, finish_partial, pseudo_header
from tests.support import frames
from tests.support.frames import Draw

SEED = int(os.environ.get("SEED", "1"))
PACKETS = int(os.environ.get("PACKETS", "150"))
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

    @property
    def came(self) -> bytes:
        """From the frame's first byte to the packet's last."""
        return self.frame[: self.here] + self.trailer

    @property
    def wire(self) -> bytes:
        return (self.outer or b"") + self.came

    def __str__(self) -> str:
        return f"outer {None if self.outer is None else len(self.outer)}, {len(self.came)} of {len(self.frame)} bytes: {self.frame.hex()}"


@dataclass
class Seen:
    frames: list[tuple[bytes, int, int]] = field(default_factory=list)  # bytes, length on the first beat, size
    facts: list[dict] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)  # that came up to the facts of the same number
    cycles: list[int] = field(default_factory=list)  # from a packet's last beat to its facts


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
    dut, seen, ends = Both(width), Seen(), []
    strip, inner = dut.strip, dut.inner

    async def drive(ctx):
        cycle = 0
        for packet in given:
            for beat in beats_of(packet, width):
                while gaps and gaps.random() < 0.3:
                    ctx.set(strip.i_valid, 0)
                    noise = {"data": gaps.getrandbits(8 * width), "lane": 2}
                    ctx.set(strip.i, {name: gaps.getrandbits(1) for name in ("first", "last", "switch", "bytes")} | noise)
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
    assert all(1 <= cycles - 1 <= dut.latency for cycles in seen.cycles)
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
        expected |= {"tags": headers.tags, "l3": l3 // 2}
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
    pack_into("!H", wanted, headers.l3, word(wanted, headers.l3) & clear)
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
        if choice < 0.1:  # break it, anywhere
            broken = bytearray(frame)
            for _ in range(random.randint(1, 3)):
                broken[random.randrange(min(len(frame), 130))] = random.choice((0, 6, 17, 43, 60, random.getrandbits(8)))
            frame = bytes(broken)
    return frame


def draw(random: Random, width: int) -> Packet:
    """Bare, tunnelled (with a trailer, or without), or the first fragment of an STT frame; the outer headers are noise,
    or another frame's headers."""
    frame = draw_frame(random)
    if random.random() < 0.4:
        return Packet(frame[: random.randint(1, 200)] if random.random() < 0.2 or not frame else frame or b"\0")
    outer = random.randbytes(200) if random.random() < 0.3 else draw_frame(random).ljust(200, b"\0")
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
