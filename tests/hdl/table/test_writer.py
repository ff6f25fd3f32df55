"""A row is written while nobody looks anything up, and the next one waits for it."""

from amaranth.sim import Simulator

from hdl.registers.tables import Table
from hdl.table.rows import table_write
from hdl.table.writer import TableWriter

DRAIN = 9


def test_one_row_after_the_other() -> None:
    """Each row comes out once, `DRAIN` cycles after `hold` began, and `hold` outlasts it."""
    writer = TableWriter(layout=table_write(8), drain=DRAIN)
    rows = [(Table.TUNNEL, 3, 0x1234), (Table.PROFILE, 9, 0x77), (Table.SEQUENCE, 1, 5)]
    seen, held = [], []

    async def bench(ctx):
        for table, row, data in rows:
            ctx.set(writer.i.table, table)
            ctx.set(writer.i.row, row)
            ctx.set(writer.i.data, data)
            ctx.set(writer.i.valid, 1)
            await ctx.tick().until(writer.i.ready)
        ctx.set(writer.i.valid, 0)

    async def watch(ctx):
        for _ in range(len(rows) * (DRAIN + 4)):
            _, _, hold, out = await ctx.tick().sample(writer.hold, writer.o)
            held.append(hold)
            if out.valid:
                assert hold and all(held[-DRAIN:])
                seen.append((out.table, out.row, out.data))

    simulator = Simulator(writer)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch)
    simulator.run()
    assert seen == rows
    assert not held[-1]
