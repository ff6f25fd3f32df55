"""FIFOs keep order and content, hold what they promise, and pass one entry a cycle."""

import random

import pytest

from hdl.stream.credit_fifo import CreditFifo
from hdl.stream.fifo import Fifo
from hdl.stream.folded_fifo import FOLDS, FoldedFifo
from hdl.stream.paced_fifo import PacedFifo
from hdl.stream.quick_fifo import QuickFifo, ThroughFifo
from hdl.stream.small_fifo import SmallFifo
from tests.hdl.stream.drive import receive, run

SEED = 7


async def write(ctx, dut, items, *, rng, pause, latency, kind):
    """Write items `latency` cycles after deciding to, looking at `space` or `room` only when deciding."""
    pace = FOLDS if kind is FoldedFifo else 1
    wait = 0  # cycles until the next one may be written
    space = dut.space if kind is not SmallFifo else dut.room
    pending = [None] * latency
    items = list(items)
    while items or any(item is not None for item in pending):
        decided = None
        wait -= 1
        if items and ctx.get(space) and wait <= 0 and rng.random() >= pause:
            decided = items.pop(0)
            wait = pace
        if kind is SmallFifo:
            ctx.set(dut.reserve, decided is not None)
        pending.append(decided)
        now = pending.pop(0)
        ctx.set(dut.write, now is not None)
        ctx.set(dut.i, now or 0)
        await ctx.tick()
    ctx.set(dut.write, 0)


@pytest.mark.parametrize("kind", [Fifo, PacedFifo, FoldedFifo, QuickFifo, ThroughFifo, CreditFifo, SmallFifo])
@pytest.mark.parametrize("latency", [0, 1, 5])
@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.3), (0.0, 0.95)])
def test_order_and_content(kind, latency, pauses):
    rng = random.Random(SEED)
    items = [rng.randrange(1, 1 << 16) for _ in range(300)]
    dut = kind(shape=16, depth=16, margin=latency + 4) if kind is not SmallFifo else kind(shape=16, depth=16)
    got, cycles = [], []

    def keep(cycle, item):
        got.append(item)
        cycles.append(cycle)
        return len(got) == len(items)

    async def source(ctx):
        await write(ctx, dut, items, rng=rng, pause=pauses[0], latency=latency, kind=kind)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pauses[1])

    run(dut, source, sink)
    assert got == items, f"seed {SEED}"
    if pauses == (0.0, 0.0) and kind in (QuickFifo, SmallFifo):
        assert cycles[-1] - cycles[0] == len(items) - 1, "not one entry a cycle"


@pytest.mark.parametrize("kind", [Fifo, FoldedFifo, QuickFifo, ThroughFifo])
@pytest.mark.parametrize("margin", [1, 4, 9])
def test_space_counts_entries(kind, margin):
    """`space` falls when fewer than `margin` entries are free, and not before."""
    depth = 16
    dut = kind(shape=8, depth=depth, margin=margin)

    async def check(ctx):
        for count in range(1, depth + 1):
            await ctx.tick().repeat(4)
            assert ctx.get(dut.space) == (depth - (count - 1) >= margin), f"{count - 1} entries"
            ctx.set(dut.write, 1)
            ctx.set(dut.i, count)
            await ctx.tick()
            ctx.set(dut.write, 0)
        await ctx.tick().repeat(4)
        ctx.set(dut.o.ready, 1)
        for count in range(1, depth + 1):
            valid = 0
            while not valid:
                _, _, valid, value = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                assert valid or kind is FoldedFifo, "not one entry a cycle"
            assert value == count
        await ctx.tick().repeat(4)
        assert ctx.get(dut.space) and not ctx.get(dut.o.valid)

    run(dut, check)


@pytest.mark.parametrize("kind", [Fifo, ThroughFifo])
def test_throughput(kind):
    """A block RAM FIFO passes one entry a cycle."""
    dut = kind(shape=16, depth=64, margin=8)
    got = []

    def keep(cycle, item):
        got.append((cycle, item))
        return len(got) == 500

    async def source(ctx):
        await write(ctx, dut, range(1, 501), rng=random.Random(0), pause=0, latency=0, kind=Fifo)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=random.Random(0))

    run(dut, source, sink)
    assert got[-1][0] - got[0][0] == 499


@pytest.mark.parametrize("kind, cycles", [(QuickFifo, 1), (ThroughFifo, 1), (Fifo, 4), (PacedFifo, 6)])
def test_latency(kind, cycles):
    """Of what finds the FIFO empty."""
    dut = kind(shape=8, depth=16, margin=4)

    async def check(ctx):
        for value in (1, 2):
            ctx.set(dut.write, 1)
            ctx.set(dut.i, value)
            for cycle in range(cycles):
                assert not ctx.get(dut.o.valid), cycle
                await ctx.tick()
                ctx.set(dut.write, 0)
            assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == value
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)
            await ctx.tick().repeat(5)

    run(dut, check)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="depth is 12; it must be a power of two"):
        Fifo(shape=8, depth=12, margin=1)
    with pytest.raises(ValueError, match="margin is 16; it must be between 1 and depth - 1 = 15"):
        Fifo(shape=8, depth=16, margin=16)
    with pytest.raises(ValueError, match="limit is 17; it must be between 3 and depth = 16"):
        SmallFifo(shape=8, depth=16, limit=17)
