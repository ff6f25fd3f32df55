"""How many contexts one vnet, and one class of outer sources, may have."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.rx_tables import RxTable
from hdl.rx.reassemble import default_quota
from hdl.rx.rows import RX_TABLE_WRITE, SETTINGS_ROW


class Quotas(wiring.Component):
    """Two numbers of the row of SETTINGS. A context holds one host buffer of 64 KB at most: so they bound memory too.

    Ports: `table` (whole rows); `vnet`: frames of one vnet that may be merged at once; `source`: STT frames of one
    class of outer sources that may be open, always (`strict`) or once all contexts are in use. What is 0 in the row, or
    more than there are, is the default: all of the former, three quarters of the latter, and not `strict`.

    Parameters
    ----------
    contexts : of each kind, a power of two
    """

    def __init__(self, contexts: int):
        self.contexts = contexts
        number = range(contexts + 1)
        super().__init__(
            {
                "table": In(RX_TABLE_WRITE),
                "vnet": Out(number, init=contexts),
                "source": Out(number, init=default_quota(contexts)),
                "strict": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        row = Signal(SETTINGS_ROW)
        m.d.comb += row.eq(self.table.data)
        with m.If(self.table.valid & (self.table.table == RxTable.SETTINGS)):
            for output, field in ((self.vnet, row.vnet_contexts), (self.source, row.class_contexts)):
                given = (field != 0) & (field <= self.contexts)
                m.d.sync += output.eq(Mux(given, field, output.init))
            m.d.sync += self.strict.eq(given)
        return m
