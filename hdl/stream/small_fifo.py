"""A shallow FIFO in distributed RAM whose places are promised before they are filled."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class SmallFifo(wiring.Component):
    """First in, first out, behind a pipeline that cannot be stopped.

    ::

        reserve ──> (pipeline of any fixed length) ──> write/i ──> [ memory ] ──> [ register ] ──> o
           └── room <── places neither promised nor filled ◄───────────────────────────────────────┘ pop

    A producer raises `reserve` for each entry that it will `write` later, and only while `room` is true; so the
    pipeline between needs no ready. `room` is a register.

    Latency: 2 cycles from `write` to `o`; 1 without the register (`quick`). Throughput: one entry a cycle, where
    `limit` is at least the pipeline's length + 6. Back-pressure: `room`. A write without a reservation may overwrite an
    entry.

    Parameters
    ----------
    shape : of an entry
    depth : entries in memory, a power of two (16 is the depth of distributed RAM on ECP5)
    limit : entries promised or held at most; `depth` unless given
    quick : no register behind the memory
    """

    def __init__(self, *, shape, depth: int = 16, limit: int | None = None, quick: bool = False):
        if depth & (depth - 1) or depth < 4:
            raise ValueError(f"depth is {depth}; it must be a power of two, at least 4")
        self.shape, self.depth, self.limit, self.quick = shape, depth, depth if limit is None else limit, quick
        if not 2 < self.limit <= depth:
            raise ValueError(f"limit is {limit}; it must be between 3 and depth = {depth}")
        super().__init__(
            {
                "reserve": In(1),
                "room": Out(1),
                "write": In(1),
                "i": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = mem = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write_port, read_port = mem.write_port(), mem.read_port(domain="comb")

        head = Signal(range(self.depth))
        tail = Signal(range(self.depth))
        count = Signal(range(self.depth + 1))  # entries in memory
        some = Signal()  # count != 0
        used = Signal(range(self.depth + 1))  # entries promised or held
        popped = Signal()

        move = Signal()
        read = Signal()
        m.d.comb += [
            write_port.addr.eq(tail),
            write_port.data.eq(self.i),
            write_port.en.eq(self.write),
            read_port.addr.eq(head),
            move.eq(self.o.ready if self.quick else ~self.o.valid | self.o.ready),
            read.eq(some & move),
        ]
        with m.If(self.write):
            m.d.sync += tail.eq(tail + 1)
        with m.If(read):
            m.d.sync += head.eq(head + 1)
        if self.quick:
            m.d.comb += [self.o.valid.eq(some), self.o.payload.eq(read_port.data)]
        else:
            with m.If(move):
                m.d.sync += [self.o.valid.eq(some), self.o.payload.eq(read_port.data)]
        m.d.sync += [
            count.eq(count + self.write - read),
            some.eq(self.write | Mux(read, count > 1, some)),  # `read` comes late: it only selects
            popped.eq(self.o.valid & self.o.ready),
            used.eq(used + self.reserve - popped),
            # two reservations may be on their way into `used`
            self.room.eq(used <= self.limit - 2),
        ]
        return m
