"""What happened to the frames: one bank of counters."""

from amaranth import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.counters import COUNTERS


class Counters(wiring.Component):
    """A 32-bit counter for each drop reason and each `TxCounter`; they wrap.

    Ports: `events`: bit n counts counter n in this cycle; `select`, `value`: the counter `select`, two cycles later.
    """

    def __init__(self):
        super().__init__({"events": In(COUNTERS), "select": In(4), "value": Out(32)})

    def elaborate(self, platform):
        m = Module()
        counters = Array(Signal(32, name=f"count_{n}") for n in range(COUNTERS))
        events = Signal(COUNTERS)
        m.d.sync += events.eq(self.events)
        for n in range(1, COUNTERS):
            m.d.sync += counters[n].eq(counters[n] + events[n])
        select = Signal(4)
        m.d.sync += [select.eq(self.select), self.value.eq(counters[select])]
        return m
