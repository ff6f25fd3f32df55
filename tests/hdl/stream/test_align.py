"""Rows of a memory arrive where their part of the packet belongs, whatever the lanes and lengths."""

import random

import pytest
from amaranth import Module
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.align import Extent, Realign, Rotate
from hdl.stream.beat import delayed, part_beat
from hdl.stream.small_fifo import SmallFifo
from hdl.stream.steps import Steps
from tests.hdl.stream.drive import beats, receive, run, send

SEED = 20240611
ROWS = 64


class Bench(wiring.Component):
    """Plans to beats: steps, a memory, a realigner, a FIFO."""

    def __init__(self, width, unit, image):
        self.width, self.unit, self.image = width, unit, image
        self.steps = Steps(width, unit, rows=ROWS, reads=ROWS)
        super().__init__(
            {"plan": In(stream.Signature(self.steps.plan_shape)), "o": Out(stream.Signature(part_beat(width)))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.steps = steps = self.steps
        m.submodules.realign = realign = Realign(self.width, self.unit)
        m.submodules.fifo = fifo = SmallFifo(shape=part_beat(self.width))
        m.submodules.rows = rows = memory.Memory(shape=8 * self.width, depth=ROWS, init=self.image)
        port = rows.read_port()
        m.d.comb += [
            port.addr.eq(steps.row),
            realign.step.eq(steps.step),
            realign.data.eq(delayed(m, port.data, 1)),
            steps.room.eq(fifo.room),
            fifo.reserve.eq(steps.reserve),
            fifo.write.eq(realign.write),
            fifo.i.eq(realign.o),
        ]
        wiring.connect(m, wiring.flipped(self.plan), steps.plan)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m


def plan_of(width, unit, row, lo, start, length, more=0, join=0):
    """The plan of a part of `length` lanes, by divisions rather than by the hardware's shortcuts."""
    lanes = width // unit
    rows = -(-(lo + length) // lanes)
    out = -(-(start + length) // lanes)
    prime = start < lo
    return {
        "row": row,
        "count": rows - 1,
        "single": rows == 1,
        "double": rows == 2,
        "prime": prime,
        "flush": (out - 1 + prime) == rows,
        "rotate": (start - lo) % lanes,
        "start": start,
        "tail": (start + length - 1) % lanes,
        "more": more,
        "join": join,
    }


def places(width, unit, rng):
    """(lo, start, length) in lanes: all of `lo` and `start` at small widths, a sample at large ones."""
    lanes = width // unit
    every = [(lo, start) for lo in range(lanes) for start in range(lanes)]
    for lo, start in every if len(every) <= 256 else rng.sample(every, 150):
        lengths = {1, lanes - start or 1, lanes - lo or 1, rng.randint(1, 3 * lanes), rng.randint(1, 2 * lanes)}
        for length in rng.sample(sorted(lengths), 2):
            yield lo, start, length


@pytest.mark.parametrize("width, unit", [(8, 1), (8, 2), (16, 2), (16, 1), (32, 1), (64, 2), (64, 1)])
def test_places(width, unit):
    rng = random.Random(SEED + width + unit)
    image = rng.randbytes(ROWS * width)
    plans, expected, work = [], [], 0
    cases = list(places(width, unit, rng))
    rng.shuffle(cases)
    for lo, start, length in cases:
        row = rng.randrange(ROWS - 8)
        more, join = rng.getrandbits(1), rng.getrandbits(1)
        plans.append(plan_of(width, unit, row, lo, start, length, more, join))
        begin = row * width + lo * unit
        part = bytes(start * unit) + image[begin : begin + length * unit]
        expected.append((part, more, join))
        work += max(-(-len(part) // width), -(-(lo + length) * unit // width))
    rows = beats(image, width)
    for pause in (0.0, 0.4):
        got, cycles = run_plans(Bench(width, unit, rows), plans, rng, pause)
        for case, part, oracle in zip(cases, got, expected, strict=True):
            assert part == oracle, f"lo, start, length = {case} at width {width}, unit {unit} (seed {SEED})"
        if not pause:
            # The larger of rows and beats, and at most a cycle where neighbours do not overlap.
            assert cycles[-1] - cycles[0] <= work + len(cases)


def run_plans(dut, plans, rng, pause):
    """The parts that come of plans, as (bytes, more, join), and the cycles in which their beats came."""
    width = dut.width
    parts, part, cycles = [], bytearray(), []

    def keep(cycle, beat):
        cycles.append(cycle)
        part.extend(beat.data.to_bytes(width, "little"))
        if not beat.last:
            assert beat.bytes == width
            return False
        end = len(part) - width + beat.bytes
        assert not any(part[end:]), "bytes outside the part are not zero"
        parts.append((bytes(part[:end]), beat.more, beat.join))
        part.clear()
        return len(parts) == len(plans)

    async def source(ctx):
        await send(ctx, dut.plan, plans, rng=rng, pause=pause)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, source, sink)
    return parts, cycles


@pytest.mark.parametrize("width, lo, start, length", [(8, 5, 2, 14), (8, 2, 5, 14), (64, 40, 20, 60), (64, 1, 0, 2)])
def test_equal_neighbours_leave_no_bubble(width, lo, start, length):
    count = 40
    plan = plan_of(width, 1, 0, lo, start, length)
    out = -(-(start + length) // width)
    rows = -(-(lo + length) // width)
    _, cycles = run_plans(Bench(width, 1, [0] * ROWS), [plan] * count, random.Random(0), 0.0)
    assert cycles[-1] - cycles[0] <= (count - 1) * max(out, rows) + out


@pytest.mark.parametrize("width, unit", [(8, 1), (8, 2), (64, 1)])
def test_extent(width, unit):
    """Plans from lengths agree with the divisions."""
    rng = random.Random(SEED)
    lanes = width // unit
    dut = Extent(width, unit, 6 * lanes)
    cases = [(rng.randrange(lanes), rng.randrange(lanes), rng.randint(1, 6 * lanes)) for _ in range(300)]

    async def check(ctx):
        for lo, start, length in cases:
            ctx.set(dut.lo, lo)
            ctx.set(dut.start, start)
            ctx.set(dut.length, length)
            await ctx.tick().repeat(Extent.LATENCY)
            plan = plan_of(width, unit, 0, lo, start, length)
            for name in ("count", "single", "double", "prime", "flush", "rotate", "start", "tail"):
                assert ctx.get(dut.o[name]) == plan[name], f"{name} of lo, start, length = {lo, start, length}"
        ctx.set(dut.length, 0)
        await ctx.tick().repeat(Extent.LATENCY)
        o = ctx.get(dut.o)
        assert (o.count, o.single, o.double, o.prime, o.flush) == (0, 1, 0, 0, 0)

    run(dut, check)


@pytest.mark.parametrize("width, unit, bits", [(8, 1, 1), (8, 1, 2), (8, 2, 2), (32, 2, 2), (64, 1, 2)])
def test_rotate(width, unit, bits):
    dut = Rotate(width, unit, bits)
    data = bytes(range(1, width + 1))

    async def check(ctx):
        for amount in range(width // unit):
            ctx.set(dut.i, int.from_bytes(data, "little"))
            ctx.set(dut.amount, amount)
            await ctx.tick().repeat(dut.latency)
            turned = data[width - amount * unit :] + data[: width - amount * unit]
            assert ctx.get(dut.o).to_bytes(width, "little") == turned

    run(dut, check)
