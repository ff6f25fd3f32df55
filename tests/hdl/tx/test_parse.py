"""The parser: facts against a second parser, beats against the frame, sums against an identity that always holds."""

import os
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from hdl.config import WIDTHS
from hdl.registers.counters import MAXIMUM_FRAME
from hdl.tx.parse import Parse
from tests.hdl.tx.parsed import Parsed, flow_hash, ones_sum, parse, word
from tests.support import frames
from tests.support.frames import Draw, Sample

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "100"))


@dataclass
class Seen:
    """All that came out of the parser."""

    headers: list[tuple[int, list[int]]] = field(default_factory=list)  # data, codes
    payloads: list[tuple[int, bool]] = field(default_factory=list)  # data, error
    contexts: list[dict] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)  # of the contexts
    latency: int = 0  # what the parser says


def beats_of(frame: bytes, width: int) -> list[int]:
    return [int.from_bytes(frame[at : at + width], "little") for at in range(0, max(len(frame), 1), width)]


def plain(record) -> dict:
    """A sampled Struct as a dictionary."""
    return {
        name: plain(value) if isinstance(value := getattr(record, name), data.Const) else value
        for name, _ in record.shape()
    }


def run(
    width: int, given: list[tuple[bytes, dict]], *, gaps: Random | None, errors: frozenset[int] = frozenset()
) -> Seen:
    """Put frames through; `gaps` draws pauses; frames numbered in `errors` have `error` on their last beat."""
    dut = Parse(width=width)
    seen = Seen(latency=dut.latency)

    async def drive(ctx):
        for number, (frame, meta) in enumerate(given):
            beats = beats_of(frame, width)
            for k, beat in enumerate(beats):
                while gaps and gaps.random() < 0.3:
                    ctx.set(dut.i_valid, 0)
                    ctx.set(dut.i, {"data": gaps.getrandbits(8 * width), "first": gaps.getrandbits(1), "last": 1})
                    await ctx.tick()
                ctx.set(dut.i_valid, 1)
                last = k == len(beats) - 1
                facts = {"length": len(frame), "vport": number % 64, **meta}
                error = last and number in errors
                ctx.set(dut.i, {"data": beat, "first": k == 0, "last": last, "error": error, "meta": facts})
                await ctx.tick()
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(dut.latency + 1)

    async def watch(ctx):
        cycle = 0
        outputs = (dut.header_valid, dut.payload_valid, dut.context_valid, dut.header, dut.payload, dut.context)
        async for _, _, header_valid, payload_valid, context_valid, header, payload, context in ctx.tick().sample(
            *outputs
        ):
            cycle += 1
            if header_valid:
                seen.headers.append((header.data, [header.codes[i] for i in range(width // 2)]))
            if payload_valid:
                seen.payloads.append((payload.data, bool(payload.error)))
            if context_valid:
                seen.contexts.append(plain(context))
                seen.cycles.append(cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return seen


ORIGINALS = ("length", "id", "ip_checksum", "sequence_high", "sequence_low", "tcp_flags", "l4_checksum")


def originals(context: dict) -> list[int]:
    """The words that codes 1 to 7 stand for."""
    original = context["original"]
    values = dict(original, sequence_high=original["sequence"] >> 16, sequence_low=original["sequence"] & 0xFFFF)
    return [values[name] for name in ORIGINALS]


def check(width: int, given: list[tuple[bytes, dict]], seen: Seen, errors: frozenset[int] = frozenset()) -> None:
    assert len(seen.contexts) == len(given)
    rows, beats, row = iter(seen.headers), iter(seen.payloads), 0
    for number, ((frame, meta), context) in enumerate(zip(given, seen.contexts, strict=True)):
        say = f"frame {number} ({len(frame)} bytes): {frame[:120].hex()}"
        found = parse(frame)
        check_facts(frame, meta, number, found, context, say)
        header_bytes = 2 * context["header_words"]
        assert header_bytes <= len(frame), say
        count = -(-header_bytes // width)
        assert context["header_row"] == row & 0xFFFF, say
        row += count
        content, codes = b"", []
        for _ in range(count):
            value, row_codes = next(rows)
            content += value.to_bytes(width, "little")
            codes += row_codes
        assert content[:header_bytes] == frame[:header_bytes], say
        check_sums(frame, found, context, codes[: context["header_words"]], say)
        expected = [
            b for k, b in enumerate(beats_of(frame, width)) if (k + 1) * width > header_bytes and k * width < len(frame)
        ]
        if len(frame) == header_bytes:
            expected = []
        got = [next(beats) for _ in expected]
        assert [value for value, _ in got] == expected, say
        bad = number in errors
        assert [error for _, error in got] == [bad and k == len(got) - 1 for k in range(len(got))], say
        if not expected:
            assert context["bad_length"] == bad, say
    assert next(rows, None) is None and next(beats, None) is None


def check_facts(frame: bytes, meta: dict, number: int, found: Parsed, context: dict, say: str) -> None:
    parsed = bool(found.version) and not found.unparsed
    l4 = found.l4 or 0
    udp_checksum = word(frame, l4 + 6) if found.protocol == "udp" else 0
    expected = {
        "vport": number % 64,
        "gso_size": meta.get("gso_size", 0),
        "accecn": meta.get("accecn", 0),
        "length": len(frame),
        "ip_end": found.ip_end,
        "runt": len(frame) < 14,
        "oversize": len(frame) > MAXIMUM_FRAME,
        "unparsed": found.unparsed,
        "ipv4": parsed and found.version == 4,
        "ipv6": parsed and found.version == 6,
        "tcp": found.protocol == "tcp",
        "udp": udp_checksum != 0,
        "tos": found.tos,
        "hash": flow_hash(frame, found),
    }
    if len(frame) >= 14:
        expected |= {
            "dst_mac": int.from_bytes(frame[:6], "big"),
            "l3": found.l3 // 2,
            "tags": len(found.tags),
            "tagged": bool(found.tags) and found.tags[0][0] == 0x8100,
        }
    if found.tags:
        expected["tci"] = found.tags[0][1]
    if found.end is not None:
        expected |= {"header_words": found.end // 2, "l4": l4 // 2}
    wrong = {name: (context[name], value) for name, value in expected.items() if context[name] != value}
    assert not wrong, f"(got, expected) {wrong}; {say}"


def check_sums(frame: bytes, found: Parsed, context: dict, codes: list[int], say: str) -> None:
    header = [word(frame, 2 * i) for i in range(context["header_words"])]
    parts = [context[name] for name in ("l2_sum", "l3_sum", "src_sum", "dst_sum", "l4_sum")]
    assert ones_sum(parts + originals(context)) == ones_sum(header), say
    # each code once, where the word is the original
    places = {code: 2 * i for i, code in enumerate(codes) if code}
    assert len(places) == sum(code != 0 for code in codes), say
    for code in range(1, 8):
        value = originals(context)[code - 1]
        assert value == (word(frame, places[code]) if code in places else 0), f"code {code}; {say}"
    if not found.unparsed:
        assert places == found.codes, say
    # each sum by itself
    l3, l4 = 2 * context["l3"], 2 * context["l4"]
    left = {2 * i: value for i, value in enumerate(header) if not codes[i]}
    addresses = {4: (l3 + 12, 4), 6: (l3 + 8, 16)}.get(found.version)
    source = range(addresses[0], addresses[0] + addresses[1]) if addresses else range(0)
    target = range(source.stop, source.stop + len(source))
    rest = [v for at, v in left.items() if l3 <= at < l4 and at not in source and at not in target]
    assert context["l3_sum"] == ones_sum(rest), say
    assert context["l2_sum"] == ones_sum([v for at, v in left.items() if at < l3]), say
    assert context["src_sum"] == ones_sum([v for at, v in left.items() if at in source]), say
    assert context["dst_sum"] == ones_sum([v for at, v in left.items() if at in target]), say
    assert context["l4_sum"] == ones_sum([v for at, v in left.items() if at >= l4]), say


def draw(random: Random) -> Sample:
    """Any kind of frame, mostly with a short payload: headers are what matters here."""
    kind = random.choice(frames.GOOD + frames.HOSTILE)
    long = kind in (frames.super_segment, frames.truncated)
    sample = kind(Draw(random, 1400 if long else random.choice((1, 20, 120))))
    frame = bytearray(sample.frame[: 1500 if random.random() < 0.2 else 400])
    if random.random() < 0.2:  # break it, anywhere
        for _ in range(random.randint(1, 3)):
            if frame:
                frame[random.randrange(min(len(frame), 130))] = random.choice((0, 6, 17, 43, 60, random.getrandbits(8)))
        del frame[random.randint(0, 200) :]
    return replace(sample, frame=bytes(frame))


def hand_over(samples: list[Sample]) -> list[tuple[bytes, dict]]:
    return [(s.frame, {"gso_size": s.gso_size, "accecn": s.accecn}) for s in samples]


def again(width: int) -> str:
    return f"repeat: SEED={SEED} FRAMES={FRAMES} pytest tests/hdl/tx/test_parse.py -k 'random and {width}'"


@pytest.mark.parametrize("paused", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize("width", WIDTHS)
def test_random(width, paused):
    random = Random(SEED * 1000 + width + paused)
    given = hand_over([draw(random) for _ in range(FRAMES)])
    errors = frozenset(random.sample(range(len(given)), len(given) // 10))
    try:
        check(width, given, run(width, given, gaps=random if paused else None, errors=errors), errors)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{again(width)}") from error


def put_through(width: int, all_frames: list[bytes]) -> Seen:
    """Back to back, and checked."""
    given: list[tuple[bytes, dict]] = [(frame, {}) for frame in all_frames]
    seen = run(width, given, gaps=None)
    check(width, given, seen)
    return seen


V4_OPTIONS = frames.tcp_frame(4, b"data", options=frames.TIMESTAMPS, ip={"options": bytes([7] * 8)})
V6_CHAIN = frames.udp_frame(6, b"data", ip={"extensions": [(0, frames.extension()), (43, frames.routing(0))]})


@pytest.mark.parametrize("frame", [V4_OPTIONS, V6_CHAIN], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("tags", [0, 1, 2])
def test_every_truncation(frame, tags):
    """A frame cut off behind each of its bytes: the headers never reach beyond what is there."""
    frame = frame[:12] + bytes.fromhex("8100012388a80456")[: 4 * tags] + frame[12:]
    put_through(8, [frame[:size] for size in range(len(frame) + 1)])


def with_byte(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes([value]) + frame[at + 1 :]


def test_every_size_field():
    """All versions that matter, all sizes of the IPv4 and the TCP header, lengths around the true ones."""
    v6 = frames.tcp_frame(6, b"data")
    given = [with_byte(frame, 14, v << 4 | ihl) for frame in (V4_OPTIONS, v6) for v in (4, 5, 6) for ihl in range(16)]
    given += [with_byte(V4_OPTIONS, 14 + 28 + 12, size << 4) for size in range(16)]
    given += [with_byte(V4_OPTIONS, 17, size) for size in range(20, len(V4_OPTIONS) + 2)]
    given += [with_byte(v6, 19, size) for size in range(len(v6) - 52)]
    given += [with_byte(V6_CHAIN, 14 + 40 + 32 + 5, size) for size in range(16)]
    put_through(8, given)


@pytest.mark.parametrize("width", [8, 64])
def test_deepest_headers(width):
    """Around 512 bytes of headers, and around four extension headers."""
    deep = []
    for filler in range(54, 59):  # extension headers of 8 bytes: TCP or UDP ends at, before or behind byte 512
        sizes = [8 * (filler - 3), 8, 8, 8]
        chain = [(60, frames.extension(size)) for size in sizes]
        for options in (0, 8, 12, 20):
            deep.append(frames.tcp_frame(6, b"payload", options=bytes(options), ip={"extensions": chain}))
        deep.append(frames.udp_frame(6, b"payload", ip={"extensions": chain}))
        deep.append(frames.ethernet(frames.IPV6, frames.ipv6(frames.ICMPV6, b"payload", extensions=chain)))
    for count in range(7):
        chain = [(60, frames.extension(16))] * count
        deep.append(frames.tcp_frame(6, b"", ip={"extensions": chain}))
    limits = {parse(frame).unparsed for frame in deep}
    assert limits == {False, True}
    put_through(width, deep)


def test_context_does_not_wait_for_the_frame():
    """The context of the largest frame leaves with its headers; one byte more is too much."""
    head = frames.tcp_frame(6, b"")
    seen = put_through(64, [head.ljust(size, b"x") for size in (MAXIMUM_FRAME, MAXIMUM_FRAME + 1)])
    assert [c["oversize"] for c in seen.contexts] == [0, 1]
    assert seen.cycles[0] <= 2 + seen.latency


def test_a_frame_a_cycle():
    """Frames of one beat leave a context each cycle."""
    seen = put_through(64, [frames.udp_frame(4, bytes([k]), tags=[(0x8100, k)] * (k % 3)) for k in range(30)])
    assert seen.cycles == list(range(seen.cycles[0], seen.cycles[0] + 30))


def test_latency():
    """`latency` is what credits are computed from: nothing comes later."""
    for width in WIDTHS:
        seen = put_through(width, [frames.arp()[:14]])
        assert seen.cycles[0] == -(-14 // width) + seen.latency
