"""The exact-match table finds what the driver's placement put there, and nothing else."""

import random

from amaranth.sim import Simulator

from driver.cuckoo import place
from hdl.registers.tables import EXACT_FIELDS, EXACT_ROWS, EXACT_WAYS, exact_row, pack
from hdl.table.exact import ExactMatch


def test_hash_rows_are_spread() -> None:
    """MAC addresses that differ in their last byte only lie in many rows of every way."""
    for way in range(EXACT_WAYS):
        assert len({exact_row(way, 0, 0x525400000000 + n) for n in range(256)}) == EXACT_ROWS


def test_finds_every_entry_one_a_cycle() -> None:
    """64 entries, looked up back to back among keys that are not there; each has its own route."""
    draw = random.Random(5)
    keys = {(draw.randrange(64), draw.getrandbits(48)): n for n in range(64)}
    near = [(vnet, mac ^ 1 << draw.randrange(48)) for vnet, mac in keys]
    asked = [*keys, *near, *[(vnet ^ 1, mac) for vnet, mac in keys]]
    draw.shuffle(asked)
    table = ExactMatch()
    answers: list = []

    async def bench(ctx):
        for row, (vnet, mac) in place(keys).items():
            values = {"valid": 1, "tunnel": keys[vnet, mac], "drop": keys[vnet, mac] & 1, "vnet": vnet, "mac": mac}
            entry = pack(EXACT_FIELDS, values)
            ctx.set(table.entry, {name: values[name] for name in EXACT_FIELDS})
            assert ctx.get(table.entry.as_value()) == entry
            ctx.set(table.row, row)
            ctx.set(table.write, 1)
            await ctx.tick()
        ctx.set(table.write, 0)
        for vnet, mac in asked:
            ctx.set(table.vnet, vnet)
            ctx.set(table.mac, mac)
            ctx.set(table.valid, 1)
            await ctx.tick()
        ctx.set(table.valid, 0)

    async def watch(ctx):
        while len(answers) < len(asked):
            _, _, done, hit, route = await ctx.tick().sample(table.done, table.hit, table.route)
            if done:
                answers.append((route.tunnel, route.drop) if hit else None)

    simulator = Simulator(table)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch)
    simulator.run()
    assert answers == [(keys[key], keys[key] & 1) if key in keys else None for key in asked]
