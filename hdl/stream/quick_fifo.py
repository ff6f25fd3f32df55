"""FIFOs that give what comes into them in the next cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory

from hdl.stream.fifo import BlockRamFifo


class QuickFifo(BlockRamFifo):
    """First in, first out, in distributed RAM: shallow.

    ::

        write/i ──> [ memory ] ── o

    A LUT a bit (16 entries), and no register: what `o` offers comes straight out of the memory. Latency: 1 cycle.
    Throughput: one entry a cycle. For the rest see `BlockRamFifo`.
    """

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "distributed"}
        )
        write_port, read_port = ram.write_port(), ram.read_port(domain="comb")
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        level, some, pop = Signal(range(self.depth + 1)), Signal(), Signal()
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(self.i),
            write_port.en.eq(self.write),
            read_port.addr.eq(head),
            self.o.valid.eq(some),
            self.o.payload.eq(read_port.data),
            pop.eq(some & self.o.ready),
        ]
        m.d.sync += [
            tail.eq(tail + self.write),
            level.eq(level + self.write - pop),
            some.eq(self.write | Mux(pop, level > 1, some)),
            self.space.eq(level <= self.depth - self.margin),
        ]
        with m.If(pop):
            m.d.sync += head.eq(head + 1)
        return m


class ThroughFifo(BlockRamFifo):
    """First in, first out, in block RAM: deep; what finds it empty does not go through the memory.

    ::

        write/i ─┬─────────────────────┬──> [ register ] ──> o
                 └─> [ memory ] ─ [ q ]┘

    Latency: 1 cycle, or 4 behind others. Throughput: one entry a cycle. For the rest see `BlockRamFifo`.
    """

    def elaborate(self, platform):
        m = Module()
        head = Signal(range(self.depth))
        held = Signal(range(self.depth + 4))  # entries written and not yet popped
        q_valid, written = Signal(), Signal()  # `written`: what was stored in the last cycle is readable now
        move, read, through, store = Signal(), Signal(), Signal(), Signal()
        q, some = self.ram(m, head=head, read=read, append=store), self.unread(m, written=written, read=read)
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            through.eq(move & ~q_valid & ~written & ~some),
            store.eq(self.write & ~through),
            read.eq(some & (~q_valid | move)),
        ]
        m.d.sync += written.eq(store)
        with m.If(read):
            m.d.sync += head.eq(head + 1)
        with m.If(move):
            m.d.sync += self.o.valid.eq(q_valid | (self.write & through))
            with m.If(q_valid):
                m.d.sync += self.o.payload.eq(q)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i)
        with m.If(read | move):
            m.d.sync += q_valid.eq(read)

        came, popped = Signal(), Signal()
        m.d.sync += [
            came.eq(self.write),
            popped.eq(self.o.valid & self.o.ready),
            held.eq(held + came - popped),
            self.space.eq(held <= self.depth - self.margin),
        ]
        return m
