"""Counts of one reason close behind each other are not lost, and stay apart from others."""

import random

import pytest

from hdl.registers.receive import RxCounter
from hdl.rx.deliver import RxCounters
from tests.hdl.stream.drive import repeat, run

SEED = 23


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_counters(one_at_a_time):
    rng, dut, want = random.Random(SEED), RxCounters(one_at_a_time=one_at_a_time), [0] * 64

    async def drive(ctx):
        while not ctx.get(dut.ready):
            await ctx.tick()
        for _ in range(600):
            index = rng.choice([3, 3, 3, 7, rng.randrange(40)])
            amount, counted = rng.randrange(1 << 16), rng.random() < 0.7
            packet, frame = rng.randrange(2), rng.randrange(2)
            for port, value in (("counted", counted), ("index", index), ("amount", amount)):
                ctx.set(getattr(dut, port), value)
            ctx.set(dut.packet, packet)
            ctx.set(dut.frame, frame)
            want[index] += amount * counted
            want[RxCounter.PACKETS_IN] += packet
            want[RxCounter.FRAMES_DELIVERED] += frame
            await ctx.tick()
            if one_at_a_time:
                for port in ("counted", "packet", "frame"):
                    ctx.set(getattr(dut, port), 0)
                await ctx.tick().repeat(3)
        for port in ("counted", "packet", "frame"):
            ctx.set(getattr(dut, port), 0)
        await ctx.tick().repeat(6)
        for index in range(64):
            ctx.set(dut.select, index)
            await ctx.tick().repeat(4)
            assert ctx.get(dut.value) == want[index], (
                f"counter {index}. {repeat('tests/hdl/rx/test_counters.py', SEED)}"
            )

    run(dut, drive)
