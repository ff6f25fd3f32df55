"""Counts close behind each other are not lost, carries reach the high half, and a reset makes all counters 0."""

import random

from amaranth import ResetInserter, Signal

from hdl.registers.counters import COUNTERS, DropReason, TxCounter
from hdl.table.counters import Counters
from tests.hdl.stream.drive import repeat, run

SEED = 29
AGAIN = repeat("tests/hdl/table/test_counters.py", SEED)


async def check(ctx, dut, want: list[int]) -> None:
    for index in (*list(DropReason)[1:], *TxCounter):
        ctx.set(dut.select, index)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.value) == want[index], f"counter {index!r}. {AGAIN}"


def test_counts() -> None:
    rng, dut, want = random.Random(SEED), Counters(), [0] * COUNTERS

    async def drive(ctx):
        for _ in range(500):
            reason = rng.choice([DropReason.NONE, DropReason.MTU, DropReason.MTU, rng.choice(list(DropReason))])
            events = rng.randrange(1 << COUNTERS)
            ctx.set(dut.reason, reason)
            ctx.set(dut.events, events)
            want[reason] += reason != DropReason.NONE
            for counter in TxCounter:
                want[counter] += events >> counter & 1
            await ctx.tick()
        ctx.set(dut.reason, DropReason.NONE)
        ctx.set(dut.events, 0)
        await ctx.tick().repeat(4)
        await check(ctx, dut, want)

    run(dut, drive)


def test_carry() -> None:
    """One count every cycle across the border of the halves, looked at in every cycle: never torn."""
    dut, start = Counters(), (1 << 16) - 5

    async def drive(ctx):
        ctx.set(dut.reason, DropReason.POLICY)
        ctx.set(dut.select, DropReason.POLICY)
        seen = []
        for _ in range(start + 20):
            await ctx.tick()
            seen.append(ctx.get(dut.value))
        assert seen[-30:] == list(range(seen[-1] - 29, seen[-1] + 1)) and seen[-1] > 1 << 16

    run(dut, drive)


def test_reset() -> None:
    """The RAM keeps what it had, the counters do not."""
    dut, reset = Counters(), Signal()

    async def drive(ctx):
        for _ in range(2):
            for index, counter in enumerate((DropReason.RUNT, DropReason.MTU), start=1):
                ctx.set(dut.reason, counter)
                await ctx.tick().repeat(index * 3)
            ctx.set(dut.reason, DropReason.NONE)
            await ctx.tick().repeat(4)
            want = [0] * COUNTERS
            want[DropReason.RUNT], want[DropReason.MTU] = 3, 6
            await check(ctx, dut, want)
            ctx.set(reset, 1)
            await ctx.tick().repeat(32)
            ctx.set(reset, 0)
            await check(ctx, dut, [0] * COUNTERS)

    run(ResetInserter(reset)(dut), drive)
