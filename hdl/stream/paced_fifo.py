"""A FIFO for wide records that come a few cycles apart."""

from amaranth import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.fifo import Fifo


class PacedFifo(wiring.Component):
    """First in, first out, an entry every six cycles at most: what `Fifo` does, where it need not do it every cycle.

    ::

        level ─ decide ─ read ─ [ memory ] ─ register ─ o          one register between any two of these

    A record of hundreds of bits lies in block RAMs all over the chip. Here nothing but a register drives their enable,
    and the output register has none, so their distance costs no logic level. At 8 bytes a beat a packet takes more than
    ten cycles on the line.

    Ports and parameters: those of `Fifo`. Latency: 6 cycles. Throughput: an entry in, every cycle; out, every sixth.
    """

    def __init__(self, *, shape, depth: int, margin: int):
        if depth & (depth - 1) or depth <= 0:
            raise ValueError(f"depth is {depth}; it must be a power of two")
        if not 0 < margin < depth:
            raise ValueError(f"margin is {margin}; it must be between 1 and depth - 1 = {depth - 1}")
        self.shape, self.depth, self.margin = shape, depth, margin
        super().__init__({"write": In(1), "i": In(shape), "o": Out(stream.Signature(shape)), "space": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = mem = memory.Memory(
            shape=self.shape,
            depth=self.depth,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a row is never read in the cycle that writes it
        )
        write_port, read_port = mem.write_port(), mem.read_port()
        tail, head = Signal(range(self.depth)), Signal(range(self.depth))
        level = Signal(range(self.depth + 1))  # entries that are not yet popped
        written, popped = Signal(), Signal()
        some = Signal()  # an entry waits that is not being fetched
        read, fetched, busy = Signal(), Signal(), Signal()

        pop = self.o.valid & self.o.ready
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(self.i),
            write_port.en.eq(self.write),
            read_port.addr.eq(head),
            read_port.en.eq(read),
        ]
        m.d.sync += [
            written.eq(self.write),
            popped.eq(pop),
            tail.eq(tail + self.write),
            head.eq(head + read),
            level.eq(level + written - popped),
            some.eq((level != 0) & ~popped),
            self.space.eq(level <= self.depth - self.margin),
            read.eq(some & ~busy),
            fetched.eq(read),
            self.o.payload.eq(read_port.data),
        ]
        with m.If(some & ~busy):
            m.d.sync += busy.eq(1)
        with m.Elif(popped):
            m.d.sync += busy.eq(0)
        with m.If(fetched):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(pop):
            m.d.sync += self.o.valid.eq(0)
        return m


def record_fifo(width: int, **parameters) -> Fifo | PacedFifo:
    """The FIFO for records, one a packet or less, of a path of `width` bytes a beat."""
    return PacedFifo(**parameters) if width == 8 else Fifo(**parameters)
