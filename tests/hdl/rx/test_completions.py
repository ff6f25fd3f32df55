"""Completions of two engines in one queue: none is lost, each engine's stay in order, STT's go first."""

import random

import pytest

from hdl.rx.completions import Completions
from tests.hdl.stream.drive import receive, repeat, run

SEED = 29


@pytest.mark.parametrize("one_waits", [True, False])
@pytest.mark.parametrize("pause", [0.0, 0.7])
def test_completions(one_waits, pause):
    rng = random.Random(SEED)
    dut = Completions(depth=64, stt_margin=12, tcp_margin=12, one_waits=one_waits)
    want, got = {1: list(range(200)), 0: list(range(200))}, {1: [], 0: []}

    def give(stt):
        valid, payload = (dut.stt_valid, dut.stt) if stt else (dut.tcp_valid, dut.tcp)
        go = dut.stt_go if stt else dut.tcp_go

        async def source(ctx):
            left = list(want[stt])
            while left:
                # two in a row, then none for a while; or TCP's, three cycles apart
                for _ in range(min(len(left), rng.choice((1, 2)) if stt else 1)):
                    while not ctx.get(go):
                        await ctx.tick()
                    ctx.set(payload, {"stt": stt, "handle": left.pop(0)})
                    ctx.set(valid, 1)
                    await ctx.tick()
                    ctx.set(valid, 0)
                for _ in range(rng.choice((2, 2, 3, 9)) - (not one_waits)):
                    await ctx.tick()

        return source

    async def sink(ctx):
        def keep(_, one):
            got[one.stt].append(one.handle)
            return sum(map(len, got.values())) == 400

        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, give(1), give(0), sink)
    assert got == want, repeat("tests/hdl/rx/test_completions.py", SEED)
