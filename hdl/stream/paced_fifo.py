"""A FIFO for wide records that come a few cycles apart."""

from amaranth import Module, Signal

from hdl.stream.fifo import BlockRamFifo, Fifo
from hdl.stream.folded_fifo import FOLDS, FoldedFifo

PACE = {8: 6, 16: 3, 32: 2, 64: 1}
"""Bytes a beat to cycles from one packet's record to the next's at least: a packet with its gap takes longer."""

PACKET_PACE = {8: 7, 16: 1, 32: 1, 64: 1}
"""Bytes a beat to cycles from one packet's last beat to the next's at least: what the receive path keeps to, whatever
comes off the line."""


class PacedFifo(BlockRamFifo):
    """First in, first out, an entry every six cycles at most: what `Fifo` does, where it need not do it every cycle.

    ::

        level ─ decide ─ read ─ [ memory ] ─ register ─ o          one register between any two of these

    A record of hundreds of bits lies in block RAMs all over the chip. Here nothing but a register drives their enable,
    and the output register has none, so their distance costs no logic level. At 8 bytes a beat a packet takes more than
    ten cycles on the line.

    Latency: 6 cycles. Throughput: an entry in, every cycle; out, every sixth. For the rest see `BlockRamFifo`.
    """

    def elaborate(self, platform):
        m = Module()
        head = Signal(range(self.depth))
        level = Signal(range(self.depth + 1))  # entries that are not yet popped
        written, popped = Signal(), Signal()
        some = Signal()  # an entry waits that is not being fetched
        read, fetched, busy = Signal(), Signal(), Signal()

        pop = self.o.valid & self.o.ready
        entry = self.ram(m, head=head, read=read)
        m.d.sync += [
            written.eq(self.write),
            popped.eq(pop),
            head.eq(head + read),
            level.eq(level + written - popped),
            some.eq((level != 0) & ~popped),
            self.space.eq(level <= self.depth - self.margin),
            read.eq(some & ~busy),
            fetched.eq(read),
            self.o.payload.eq(entry),
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


def record_fifo(width: int, *, paced: bool = False, depth: int, **parameters) -> BlockRamFifo:
    """The FIFO for records, one a packet or less, of a path of `width` bytes a beat.

    `paced`: what writes it keeps to `PACE`, so that at 8 bytes a beat it may be folded: a quarter of the entries, in a
    quarter of the block RAMs.
    """
    if width != 8:
        return Fifo(depth=depth, **parameters)
    if paced:
        return FoldedFifo(depth=max(depth // FOLDS, 32), **parameters)
    return PacedFifo(depth=depth, **parameters)
