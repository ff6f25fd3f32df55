"""A FIFO in block RAM that is read ahead into distributed RAM."""

from amaranth import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.small_fifo import SmallFifo


class CreditFifo(wiring.Component):
    """First in, first out, an entry a cycle, with no logic between `o` and the block RAM.

    ::

        i ─ [ block RAM ] ─ register ─ [ distributed RAM ] ─ o
                 └── read while there is room behind ──┘

    Ports and parameters: those of `Fifo`, and `ahead`, the depth of the distributed RAM. Latency: 7 cycles.
    Throughput: one entry a cycle.
    """

    def __init__(self, *, shape, depth: int, margin: int, ahead: int = 16):
        if depth & (depth - 1) or depth <= 0:
            raise ValueError(f"depth is {depth}; it must be a power of two")
        if not 0 < margin < depth:
            raise ValueError(f"margin is {margin}; it must be between 1 and depth - 1 = {depth - 1}")
        self.shape, self.depth, self.margin, self.ahead = shape, depth, margin, ahead
        super().__init__({"write": In(1), "i": In(shape), "o": Out(stream.Signature(shape)), "space": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = mem = memory.Memory(
            shape=self.shape,
            depth=self.depth,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a row is never read in the cycle that writes it
        )
        m.submodules.front = front = SmallFifo(shape=self.shape, depth=self.ahead)
        write_port, read_port = mem.write_port(), mem.read_port()
        tail, head = Signal(range(self.depth)), Signal(range(self.depth))
        level = Signal(range(self.depth + 1))  # entries in block RAM
        written, read, fetched = Signal(), Signal(), Signal()

        decide = Signal()
        m.d.comb += [
            decide.eq((level > 1) & front.room | (level == 1) & front.room & ~read),
            write_port.addr.eq(tail),
            write_port.data.eq(self.i),
            write_port.en.eq(self.write),
            read_port.addr.eq(head),
            read_port.en.eq(read),
            front.reserve.eq(decide),
        ]
        m.d.sync += [
            written.eq(self.write),
            tail.eq(tail + self.write),
            read.eq(decide),
            head.eq(head + read),
            level.eq(level + written - read),
            fetched.eq(read),
            front.write.eq(fetched),
            front.i.eq(read_port.data),
            self.space.eq(level <= self.depth - self.margin),
        ]
        wiring.connect(m, front.o, wiring.flipped(self.o))
        return m
