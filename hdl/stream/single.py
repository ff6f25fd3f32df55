"""A queue of one."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Single(wiring.Component):
    """One entry in a register: for wide records that come far apart.

    ::

        write/i ── register ── o            space: the register is empty

    Ports: `write`/`i`, stream `o`, `space`. Latency: 1 cycle. Throughput: an entry every second cycle. Back-pressure:
    `space`; writing without it loses the entry that is there.

    Parameters
    ----------
    shape : of an entry
    """

    def __init__(self, shape):
        self.shape = shape
        super().__init__({"write": In(1), "i": In(shape), "o": Out(stream.Signature(shape)), "space": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.space.eq(~self.o.valid)
        with m.If(self.write):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
