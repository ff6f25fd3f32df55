"""Tags in slots, against a dictionary."""

import os
from random import Random
from typing import Any

import pytest
from amaranth import ResetInserter, Signal
from amaranth.sim import Simulator

from hdl.rx.slots import Tags

SEED = int(os.environ.get("SEED", "1"))
LOOKUPS = int(os.environ.get("LOOKUPS", "800"))


@pytest.mark.parametrize(("slots", "bits"), [(2, 1), (2, 5), (4, 4), (8, 6), (16, 20), (32, 9), (64, 20)])
def test_tags(slots: int, bits: int) -> None:
    """Every seventh cycle one is looked up and perhaps replaced, also just behind a replacement; tags are alike."""
    rng = Random(SEED * 1000 + slots + bits)
    dut, reset = Tags(slots=slots, bits=bits), Signal()
    tags: dict[int, int] = {}  # to slots

    def forget(slot: int) -> None:
        for old in [old for old, its in tags.items() if its == slot]:
            del tags[old]

    async def bench(ctx: Any) -> None:
        while not ctx.get(dut.ready):
            await ctx.tick()
        for lookup in range(LOOKUPS):
            if lookup == LOOKUPS // 2:  # what is in the RAMs must not matter
                ctx.set(reset, 1)
                await ctx.tick()
                ctx.set(reset, 0)
                tags.clear()
                while not ctx.get(dut.ready):
                    await ctx.tick()
            if lookup % 100 == 0:
                masks = [1 << rng.randrange(bits) for _ in range(3)]
                base = rng.getrandbits(bits)
                pool = [rng.getrandbits(bits) for _ in range(2 * slots)]
            tag = rng.choice(pool)
            if rng.random() < 0.3:  # much like the others
                tag = base ^ rng.choice(masks) ^ rng.choice(masks)
            direct, number = rng.random() < 0.1, rng.randrange(slots)
            ctx.set(dut.tag, tag)
            ctx.set(dut.direct, direct)
            ctx.set(dut.number, number)
            await ctx.tick().repeat(2)
            if direct:
                await ctx.tick().repeat(4)
                expected = number if number in tags.values() else None
            else:
                expected = tags.get(tag)
                assert expected is None or ctx.get(dut.slot) == expected
                await ctx.tick()
                assert ctx.get(dut.found) == (expected is not None), f"lookup {lookup}"
                await ctx.tick().repeat(3)
            assert ctx.get(dut.found) == (expected is not None), f"lookup {lookup}"
            assert expected is None or ctx.get(dut.slot) == expected
            if expected is not None and rng.random() < 0.3:
                ctx.set(dut.drop, 1)
                ctx.set(dut.target, expected)
                forget(expected)
            elif expected is None and not direct and rng.random() < 0.8:
                ctx.set(dut.put, 1)
                ctx.set(dut.target, number)
                forget(number)
                tags[tag] = number
            await ctx.tick()
            ctx.set(dut.put, 0)
            ctx.set(dut.drop, 0)
            for _ in range(rng.choice((0, 0, 0, 1, 2, 3, 8))):
                await ctx.tick()

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
