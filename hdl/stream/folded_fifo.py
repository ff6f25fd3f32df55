"""A FIFO for wide records that come and go a few cycles apart, each folded into a few rows of block RAM."""

from amaranth import Module, Signal, Value
from amaranth.lib import memory

from hdl.stream.fifo import BlockRamFifo

FOLDS = 4  # rows a record


class FoldedFifo(BlockRamFifo):
    """First in, first out; a record's four parts are written and read one after the other.

    ::

        i ─ register ─┬─ part 0 ─┐                 ┌─ part 0 ─┐
                      ├─ part 1 ─┤                 ├─ part 1 ─┤
                      ├─ part 2 ─┼─ [ block RAM ] ─┼─ part 2 ─┼─ o
                      └─ part 3 ─┘                 └─ part 3 ─┘

    A block RAM of ECP5 at its widest has 512 rows, more than a queue of records needs: folded, a record of 400 bits
    takes 3 of them instead of 12. As in `PacedFifo`, nothing but registers drives the block RAM.

    Latency: 13 cycles. Throughput: an entry in, every fourth cycle at most (the writer sees to that: one that comes
    earlier spoils the one before); out, every seventh. For the rest see `BlockRamFifo`.
    """

    def elaborate(self, platform):
        m = Module()
        bits = len(Value.cast(self.i))
        part = -(-bits // FOLDS)
        m.submodules.memory = ram = memory.Memory(
            shape=part,
            depth=FOLDS * self.depth,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a row is never read in the cycle that writes it
        )
        write_port, read_port = ram.write_port(), ram.read_port()

        # -- in: the record stands still while its parts are written
        held, writing, at = Signal(FOLDS * part, reset_less=True), Signal(), Signal(range(FOLDS))
        tail, written = Signal.like(write_port.addr), Signal()
        with m.Switch(at):
            for fold in range(FOLDS):
                with m.Case(fold):
                    m.d.comb += write_port.data.eq(held.word_select(fold, part))
        m.d.comb += [write_port.en.eq(writing), write_port.addr.eq(tail)]
        m.d.sync += [tail.eq(tail + writing), written.eq(writing & (at == FOLDS - 1))]
        with m.If(self.write):
            m.d.sync += [held.eq(self.i), writing.eq(1), at.eq(0)]
        with m.Elif(writing):
            m.d.sync += [at.eq(at + 1), writing.eq(at != FOLDS - 1)]

        # -- out: the parts are put together in the output register
        level = Signal(range(self.depth + 1))  # records that nobody reads yet
        idle, reading, step = Signal(init=1), Signal(), Signal(range(FOLDS))
        head, fetched, place = Signal.like(read_port.addr), Signal(), Signal(range(FOLDS))
        found = Signal(FOLDS * part, reset_less=True)
        starts, pop = Signal(), Signal()
        m.d.comb += [
            starts.eq(idle & (level != 0)),
            pop.eq(self.o.valid & self.o.ready),
            read_port.en.eq(reading),
            read_port.addr.eq(head),
            Value.cast(self.o.payload).eq(found[:bits]),
        ]
        m.d.sync += [head.eq(head + reading), fetched.eq(reading), place.eq(step)]
        with m.If(starts):
            m.d.sync += [idle.eq(0), reading.eq(1), step.eq(0)]
        with m.Elif(reading):
            m.d.sync += [step.eq(step + 1), reading.eq(step != FOLDS - 1)]
        for fold in range(FOLDS):
            with m.If(fetched & (place == fold)):
                m.d.sync += found.word_select(fold, part).eq(read_port.data)
        with m.If(fetched & (place == FOLDS - 1)):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(pop):
            m.d.sync += [self.o.valid.eq(0), idle.eq(1)]

        # -- account
        count = Signal(range(self.depth + 1))  # records that are not yet popped
        came, popped = Signal(), Signal()
        m.d.sync += [
            came.eq(self.write),
            popped.eq(pop),
            level.eq(level + written - starts),
            count.eq(count + came - popped),
            self.space.eq(count <= self.depth - self.margin),
        ]
        return m
