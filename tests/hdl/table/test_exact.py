"""The exact-match table finds what the driver's placement put there, and nothing else."""

import random

import pytest
from amaranth.sim import Simulator

from driver.cuckoo import Cuckoo
from hdl.registers.exact import ExactTable
from hdl.registers.rx_tables import DESTINATION_TABLE, TERMINATE_TABLE
from hdl.registers.tables import EXACT_TABLE
from hdl.table.exact import ExactMatch

TABLES = {"forward": EXACT_TABLE, "terminate": TERMINATE_TABLE, "destination": DESTINATION_TABLE}


@pytest.mark.parametrize("name", TABLES)
def test_hash_rows_are_spread(name: str) -> None:
    """Keys that differ in eight neighbouring bits of their last field only lie in all rows of every way."""
    table = TABLES[name]
    first = [0] * (len(table.key) - 1)
    for way in range(table.ways):
        for shift in range(table.fields[table.key[-1]] - 7):
            assert len({table.row(way, (*first, n << shift)) for n in range(256)}) == table.rows


@pytest.mark.parametrize("name, probes", [("forward", 1), ("terminate", 1), ("terminate", 2), ("terminate", 4)])
def test_finds_every_entry(name: str, probes: int) -> None:
    """64 entries, looked up back to back (a key every `probes` cycles) or with gaps, among keys that are not there."""
    draw = random.Random(5)
    of = TABLES[name]
    keys = {tuple(draw.getrandbits(of.fields[field]) for field in of.key): draw.getrandbits(6) for _ in range(64)}
    near = [(*key[:-1], key[-1] ^ 1 << draw.randrange(of.fields[of.key[-1]])) for key in keys]
    asked = [*keys, *near, *[(key[0] ^ 1, *key[1:]) for key in keys]]
    draw.shuffle(asked)
    expected = [keys.get(key) for key in asked]
    answers = look_up(of, probes, keys, asked, draw)
    assert answers == expected


def look_up(of: ExactTable, probes: int, keys: dict, asked: list, draw: random.Random) -> list:
    table = ExactMatch(of, probes=probes)
    answers: list = []
    value = next(field for field in of.value_fields if of.fields[field] > 1)

    async def bench(ctx):
        for place, key in Cuckoo(of, str).place(keys).items():
            ctx.set(table.entry, {"valid": 1, value: keys[key], **of.values(key)})
            ctx.set(table.row, place)
            ctx.set(table.write, 1)
            await ctx.tick()
        ctx.set(table.write, 0)
        for key in asked:
            ctx.set(table.key, of.values(key))
            ctx.set(table.valid, 1)
            await ctx.tick()
            ctx.set(table.valid, 0)
            ctx.set(table.key, {field: 0 for field in of.key})
            for _ in range(probes - 1 + (draw.randrange(4) if draw.random() < 0.2 else 0)):
                await ctx.tick()

    async def watch(ctx):
        asked_at = []
        cycle = 0
        while len(answers) < len(asked):
            _, _, valid, done, hit, found = await ctx.tick().sample(table.valid, table.done, table.hit, table.value)
            if valid:
                asked_at.append(cycle)
            if done:
                assert cycle - asked_at[len(answers)] == table.latency
                answers.append(found[value] if hit else None)
            cycle += 1

    simulator = Simulator(table)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch)
    simulator.run()
    return answers
