"""What a pipeline carries is what it was, however far and through whatever memory."""

import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.pipe import Pipe
from tests.hdl.stream.drive import run

CYCLES = 400
LONGEST = 45


class Delayed(wiring.Component):
    """A value of `bits` bits, read in each of `stages`."""

    def __init__(self, bits: int, stages: list[int]):
        self.stages = stages
        super().__init__({"valid": In(1), "i": In(bits)} | {f"o_{stage}": Out(bits) for stage in stages})

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(m, self.valid, i=self.i)
        for _ in range(max(self.stages)):
            pipe.step()
            if pipe.cycles in self.stages:
                m.d.comb += getattr(self, f"o_{pipe.cycles}").eq(pipe.i)
        return m


@pytest.mark.parametrize("bits", [1, 5, 7, 20])
@pytest.mark.parametrize(
    "stages",
    [*([stage] for stage in range(1, LONGEST)), [1, 2, 9, 10, 27, 44], [6, 12, 30], [17, 34], [18, 36], [3, 21]],
    ids=str,
)
def test_every_delay(bits, stages):
    rng = random.Random(bits)
    sent = [rng.getrandbits(bits) for _ in range(CYCLES)]
    dut = Delayed(bits, stages)

    async def bench(ctx):
        for cycle, value in enumerate(sent):
            ctx.set(dut.i, value)
            for stage in stages:
                if cycle > LONGEST:
                    seen = ctx.get(getattr(dut, f"o_{stage}"))
                    assert seen == sent[cycle - stage], f"cycle {cycle}, {stage} cycles late"
            await ctx.tick()

    run(dut, bench)
