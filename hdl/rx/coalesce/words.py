"""A wide row a slot in few block RAMs."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.bits import encode
from hdl.tx.choose import choose

WORDS = 5  # of a row; a select of so many words is as small as one of three


class WordRows(wiring.Component):
    """Rows that are read and written a word a cycle.

    ::

        cycle     0     1     2     3     4     5     6
        reads     0 ─── 1 ─── 2 ─── 3 ─── 4
        row                   0     1     2     3     4 ───  whole, until the next row's first word comes

    Ports: `reads`, `writes`: which word's turn it is, one-hot, from the first to the last; with the first `read_slot`,
    `write_slot`; `row`; `data`, of which the word must be there whose turn it is. What is written is read from the next
    cycle on.

    Parameters
    ----------
    shape : of a row
    slots : rows
    """

    def __init__(self, *, shape, slots: int):
        self.slots, self.bits = slots, -(-shape.size // WORDS)
        super().__init__(
            {
                "reads": In(WORDS),
                "read_slot": In(range(slots)),
                "row": Out(shape),
                "writes": In(WORDS),
                "write_slot": In(range(slots)),
                "data": In(WORDS * self.bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size = 1 << (WORDS - 1).bit_length()
        m.submodules.ram = ram = memory.Memory(
            shape=self.bits,
            depth=size * self.slots,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # no word is read in the cycle that writes it
        )
        read, write = ram.read_port(), ram.write_port()
        row, come = Signal(WORDS * self.bits, reset_less=True), Signal(WORDS)
        m.d.sync += come.eq(self.reads)
        for number in range(WORDS):
            with m.If(come[number]):
                m.d.sync += row.word_select(number, self.bits).eq(read.data)
        slots = []
        for turns, slot in ((self.reads, self.read_slot), (self.writes, self.write_slot)):
            held = Signal.like(slot, name="held", reset_less=True)
            slots.append(Mux(turns[0], slot, held))
            m.d.sync += held.eq(slots[-1])
        words = [self.data.word_select(number, self.bits) for number in range(WORDS)]
        m.d.comb += [
            self.row.eq(row),
            read.addr.eq(Cat(encode(self.reads), slots[0])),
            write.addr.eq(Cat(encode(self.writes), slots[1])),
            write.en.eq(self.writes.any()),
            write.data.eq(choose(zip(self.writes, words, strict=True))),
        ]
        return m
