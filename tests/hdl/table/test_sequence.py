"""Sequence numbers count up by one for each packet of a tunnel, however close the packets come."""

import random
from collections import Counter

import pytest
from amaranth.sim import Simulator

from hdl.table.sequence import SequenceNumbers


@pytest.mark.parametrize("tunnels", [1, 2, 3, 20])
@pytest.mark.parametrize("busy", [1.0, 0.5])
def test_no_number_is_lost_or_given_twice(tunnels: int, busy: float) -> None:
    """Random packets of few tunnels, back to back or with gaps; the driver sets one tunnel's number in between."""
    draw = random.Random(tunnels)
    numbers = SequenceNumbers()
    packets = [draw.randrange(tunnels) if draw.random() < busy else None for _ in range(600)]
    given = []

    async def bench(ctx):
        for at, tunnel in enumerate(packets):
            ctx.set(numbers.valid, tunnel is not None)
            ctx.set(numbers.index, tunnel or 0)
            ctx.set(numbers.write, at == 100)
            if at == 100:
                ctx.set(numbers.row, 77)
                ctx.set(numbers.next, 0xFFFFFFFE)
            await ctx.tick()
        for _ in range(20):
            ctx.set(numbers.valid, 0)
            await ctx.tick()
        for _ in range(4):
            ctx.set(numbers.valid, 1)
            ctx.set(numbers.index, 77)
            await ctx.tick()
        ctx.set(numbers.valid, 0)

    async def watch(ctx):
        for _ in range(numbers.latency):
            await ctx.tick()
        for _ in range(len(packets) + 24):
            given.append(ctx.get(numbers.number))
            await ctx.tick()

    simulator = Simulator(numbers)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch)
    simulator.run()
    count: Counter[int] = Counter()
    for tunnel, number in zip(packets, given, strict=False):
        if tunnel is not None:
            assert number == count[tunnel], (
                f"repeat with: pytest tests/hdl/table/test_sequence.py -k '{busy}-{tunnels}'"
            )
            count[tunnel] += 1
    assert given[len(packets) + 20 :] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
