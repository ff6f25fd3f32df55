"""Second chance in hardware, lookup by lookup against the model."""

import os
from random import Random
from typing import Any

import pytest
from amaranth import ResetInserter, Signal
from amaranth.sim import Simulator

from hdl.rx.slots import SecondChance
from sim.model.slots import SecondChance as Model

SEED = int(os.environ.get("SEED", "1"))
LOOKUPS = int(os.environ.get("LOOKUPS", "150"))
SIZES = (2, 4, 8, 16, 32, 64)


def run(dut: SecondChance, quota: int, bench: Any) -> None:
    """Twice, with a strict bound and without: a reset leaves the RAMs as they are, and it must not matter."""
    reset = Signal()

    async def twice(ctx: Any) -> None:
        ctx.set(dut.quota, quota)
        for strict in (True, False):
            ctx.set(dut.strict, strict)
            while not ctx.get(dut.ready):
                await ctx.tick()
            await bench(ctx, Model(dut.slots, quota, strict=strict))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-8)
    simulator.add_testbench(twice)
    simulator.run()


@pytest.mark.parametrize("slots", SIZES)
@pytest.mark.parametrize("kinds", [2, 16])
def test_owner_knows_its_slots(slots: int, kinds: int) -> None:
    """Hits, insertions, insertions in another one's place, slots that are given back; lookups that are given up."""
    rng = Random(SEED * 1000 + slots + kinds)
    quota = rng.choice((1, slots, rng.randint(1, slots)))
    dut = SecondChance(slots=slots, kind_bits=4)

    async def bench(ctx: Any, model: Model) -> None:
        frees = 0.2
        for lookup in range(LOOKUPS):
            if lookup % 200 == 0:
                frees, hits = rng.choice((0.0, 0.05, 0.3)), rng.choice((0.0, 0.3, 0.8))
            ctx.set(dut.kind, kind := rng.randrange(kinds) if rng.random() < 0.7 else 0)
            known = [n for n, one in enumerate(model.slots) if one.used]
            slot = rng.choice(known) if known and rng.random() < hits + frees else None
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            if rng.random() < 0.1:  # it is given up
                for _ in range(rng.randint(0, 8)):
                    await ctx.tick()
                continue
            await ctx.tick().repeat(2)
            ctx.set(dut.known, slot is not None)
            ctx.set(dut.slot, rng.randrange(slots) if slot is None else slot)
            await ctx.tick().repeat(3 + rng.choice((0, 0, 0, 1, 3)))
            may_have = not model.strict or model.of(kind) < quota
            assert ctx.get(dut.vacant) == (model.used < slots and may_have)
            number, late = ctx.get(dut.number), False
            if slot is None:
                if rng.random() < 0.8:
                    ctx.set(dut.insert, 1)
                    assert number == model.insert(kind), f"lookup {lookup}"
            else:
                assert number == slot
                match rng.randrange(6):
                    case 0:
                        pass
                    case 1:  # by one of the same class
                        ctx.set(dut.insert, 1)
                        model.slots[slot].ref = False
                    case 2:
                        late = rng.random() < 0.7
                        ctx.set(dut.free, not late)
                        ctx.set(dut.mark, 1)
                        model.free(slot)
                    case _:
                        ctx.set(dut.mark, 1)
                        model.hit(slot)
            await ctx.tick()
            for strobe in (dut.insert, dut.free, dut.mark):
                ctx.set(strobe, 0)
            if late:  # with a lookup that is given up
                ctx.set(dut.free, 1)
                ctx.set(dut.start, rng.random() < 0.8)
                ctx.set(dut.kind, rng.randrange(kinds))
                await ctx.tick()
                ctx.set(dut.free, 0)
                ctx.set(dut.start, 0)
            for _ in range(rng.choice((0, 0, 0, 0, 1, 2, 9))):
                await ctx.tick()

    run(dut, quota, bench)


@pytest.mark.parametrize("slots", SIZES)
@pytest.mark.parametrize("kinds", [2, 64])
def test_found_by_tag(slots: int, kinds: int) -> None:
    """A lookup every seventh cycle; most of what is looked for is there."""
    rng = Random(SEED * 1000 + slots + kinds)
    quota = rng.choice((1, slots, rng.randint(1, slots)))
    dut = SecondChance(slots=slots, kind_bits=6, tag_bits=12)

    async def bench(ctx: Any, model: Model) -> None:
        tags: dict[int, int] = {}
        population: list[tuple[int, int]] = []
        for lookup in range(LOOKUPS):
            if lookup % 150 == 0:
                many = rng.choice((slots // 2 + 1, slots + 2, 2 * slots))
                population = [(rng.getrandbits(12), rng.randrange(kinds)) for _ in range(many)]
            tag, kind = rng.choice(population)
            ctx.set(dut.tag, tag)
            ctx.set(dut.kind, kind)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(5)
            assert ctx.get(dut.found) == (tag in tags), f"lookup {lookup}"
            number = ctx.get(dut.number)
            if tag in tags:
                assert number == tags[tag]
                ctx.set(dut.mark, 1)
                model.hit(number)
            elif rng.random() < 0.9:
                ctx.set(dut.insert, 1)
                assert number == model.insert(kind), f"lookup {lookup}"
                for old in [old for old, its in tags.items() if its == number]:
                    del tags[old]
                tags[tag] = number
            await ctx.tick()
            ctx.set(dut.mark, 0)
            ctx.set(dut.insert, 0)

    run(dut, quota, bench)
