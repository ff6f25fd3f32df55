"""What one vnet and one class of sources may have, as the row of SETTINGS says."""

from amaranth.sim import Simulator

from hdl.registers.rows import pack
from hdl.registers.rx_tables import SETTINGS_FIELDS, RxTable
from hdl.rx.quotas import Quotas


def test_quotas():
    dut = Quotas(64)

    async def bench(ctx):
        async def row(table, vnet, source):
            ctx.set(dut.table.table, table)
            ctx.set(dut.table.data, pack(SETTINGS_FIELDS, {"vnet_contexts": vnet, "class_contexts": source}))
            ctx.set(dut.table.valid, 1)
            await ctx.tick()
            ctx.set(dut.table.valid, 0)
            await ctx.tick()
            return ctx.get(dut.vnet), ctx.get(dut.source), ctx.get(dut.strict)

        assert (ctx.get(dut.vnet), ctx.get(dut.source), ctx.get(dut.strict)) == (64, 48, 0), (
            "in front of the first write"
        )
        assert await row(RxTable.SETTINGS, 16, 5) == (16, 5, 1)
        assert await row(RxTable.LOCAL, 3, 4) == (16, 5, 1), "another table's"
        assert await row(RxTable.SETTINGS, 64, 64) == (64, 64, 1)
        assert await row(RxTable.SETTINGS, 65, 256) == (64, 48, 0), "more than there are"
        assert await row(RxTable.SETTINGS, 1, 1) == (1, 1, 1)
        assert await row(RxTable.SETTINGS, 0, 0) == (64, 48, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
