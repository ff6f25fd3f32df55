"""Table writes, one at a time, while no lookup is under way."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


def table_port(layout: data.StructLayout) -> wiring.Signature:
    """Where the driver's side writes rows: a row is taken in a cycle in which `valid` and `ready` are 1."""
    members = {name: Out(shape) for name, shape in layout.members.items()}
    return wiring.Signature({**members, "ready": In(1)})


class TableWriter(wiring.Component):
    """Holds lookups back, waits until those under way are done, and writes one row.

    ::

        i        │ row │               │ next row
        hold         ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔
        o                          │ row │

    A lookup sees all rows as they were before a write or as they are after it, never a mixture, and no memory is read
    in the cycle that writes it. A write takes `drain` + `rest` + 2 cycles.

    Lookups that cannot be held back find writes so far apart that each sees one at most; their memories may write the
    row later, when nobody reads there: it stands still for `rest` cycles.

    Parameters
    ----------
    layout : of a row on its way (`hdl.table.rows.table_write`, `hdl.rx.rows.RX_TABLE_WRITE`)
    drain : cycles from `hold` until no lookup is under way
    rest : cycles for which a row that has been written stands still
    """

    def __init__(self, *, layout: data.StructLayout, drain: int, rest: int = 0):
        self.drain, self.rest = drain, rest
        super().__init__({"i": In(table_port(layout)), "hold": Out(1), "o": Out(layout)})

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self.drain + self.rest + 1))
        m.d.comb += self.i.ready.eq(~self.hold & (left == 0))
        m.d.sync += self.o.valid.eq(left == self.rest + 1)
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [
                self.hold.eq(1),
                left.eq(self.drain + self.rest),
                self.o.table.eq(self.i.table),
                self.o.row.eq(self.i.row),
                self.o.data.eq(self.i.data),
            ]
        with m.Elif(left == self.rest):
            m.d.sync += self.hold.eq(0)
        return m
