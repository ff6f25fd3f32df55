"""A FIFO in block RAM that is read ahead into distributed RAM."""

from amaranth import Module, Signal
from amaranth.lib import wiring

from hdl.stream.fifo import BlockRamFifo
from hdl.stream.small_fifo import SmallFifo


class CreditFifo(BlockRamFifo):
    """First in, first out, an entry a cycle, with no logic between `o` and the block RAM.

    ::

        i ─ [ block RAM ] ─ register ─ [ distributed RAM ] ─ o
                 └── read while there is room behind ──┘

    Latency: 8 cycles. Throughput: one entry a cycle. For the rest see `BlockRamFifo`.

    Parameters
    ----------
    ahead : depth of the distributed RAM
    """

    def __init__(self, *, shape, depth: int, margin: int, ahead: int = 16):
        self.ahead = ahead
        super().__init__(shape=shape, depth=depth, margin=margin)

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = SmallFifo(shape=self.shape, depth=self.ahead)
        head = Signal(range(self.depth))
        level = Signal(range(self.depth + 1))  # entries in block RAM
        written, read, fetched = Signal(), Signal(), Signal()

        decide = Signal()
        entry = self.ram(m, head=head, read=read)
        m.d.comb += [
            decide.eq((level > 1) & front.room | (level == 1) & front.room & ~read),
            front.reserve.eq(decide),
        ]
        m.d.sync += [
            written.eq(self.write),
            read.eq(decide),
            head.eq(head + read),
            level.eq(level + written - read),
            fetched.eq(read),
            front.write.eq(fetched),
            front.i.eq(entry),
            self.space.eq(level <= self.depth - self.margin),
        ]
        wiring.connect(m, front.o, wiring.flipped(self.o))
        return m
