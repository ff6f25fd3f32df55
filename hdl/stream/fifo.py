"""FIFOs with room for what is on its way: what they have in common, and the plain one."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class BlockRamFifo(wiring.Component):
    """Ports, and block RAM, of every FIFO that says when it has `space`.

    Ports: `write`/`i` (no ready: the writer keeps to `space`), stream `o`, `space`.
    `space` is registered: true while at least `margin` entries are free, counting what was written up to three cycles
    ago; a writer of latency n from its decision to its write needs margin >= n + 4.

    Back-pressure: `space`. Writing to a full FIFO is the writer's bug; the entry is lost.

    Parameters
    ----------
    shape : of an entry
    depth : entries, a power of two
    margin : entries that must be free for `space`
    """

    def __init__(self, *, shape, depth: int, margin: int):
        if depth & (depth - 1) or depth <= 0:
            raise ValueError(f"depth is {depth}; it must be a power of two")
        if not 0 < margin < depth:
            raise ValueError(f"margin is {margin}; it must be between 1 and depth - 1 = {depth - 1}")
        self.shape, self.depth, self.margin = shape, depth, margin
        super().__init__({"write": In(1), "i": In(shape), "o": Out(stream.Signature(shape)), "space": Out(1)})

    def ram(self, m: Module, *, head, read, append=None):
        """Each `write` is appended, unless `append` is 0; gives what lay at `head` in the latest cycle with `read`."""
        append = self.write if append is None else append
        m.submodules.memory = ram = memory.Memory(
            shape=self.shape,
            depth=self.depth,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a row is never read in the cycle that writes it
        )
        write_port, read_port = ram.write_port(), ram.read_port()
        tail = Signal(range(self.depth))
        m.d.sync += tail.eq(tail + append)
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(self.i),
            write_port.en.eq(self.write),  # what is not appended is overwritten by what is
            read_port.addr.eq(head),
            read_port.en.eq(read),
        ]
        return read_port.data

    def unread(self, m: Module, *, written, read):
        """Is there an entry that is not yet read; one counts from the cycle behind `written` on.

        `read` comes late in its cycle: it only selects, and is counted in the next one.
        """
        level, some, gone = Signal(range(self.depth + 1)), Signal(), Signal()
        known = Signal.like(level)
        m.d.comb += known.eq(level + written - gone)
        m.d.sync += [gone.eq(read), level.eq(known), some.eq(Mux(read, known > 1, known != 0))]
        return some


class Fifo(BlockRamFifo):
    """First in, first out, through a block RAM and its output register.

    ::

        i ──> [ memory ] ──> [ q ] ──> [ register ] ──> o

    Latency: 4 cycles. Throughput: one entry a cycle. For the rest see `BlockRamFifo`.
    """

    def elaborate(self, platform):
        m = Module()
        head = Signal(range(self.depth))
        held = Signal(range(self.depth + 4))  # entries written and not yet popped
        q_valid = Signal()
        written = Signal()  # last cycle's write is readable from this cycle on

        move = Signal()
        read = Signal()
        q = self.ram(m, head=head, read=read)
        some = self.unread(m, written=written, read=read)
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            read.eq(some & (~q_valid | move)),
        ]
        m.d.sync += written.eq(self.write)
        with m.If(read):
            m.d.sync += head.eq(head + 1)
        with m.If(move):
            m.d.sync += [self.o.valid.eq(q_valid), self.o.payload.eq(q)]
        with m.If(read | move):
            m.d.sync += q_valid.eq(read)

        popped = Signal()
        m.d.sync += [
            popped.eq(self.o.valid & self.o.ready),
            held.eq(held + written - popped),
            self.space.eq(held <= self.depth - self.margin),
        ]
        return m
