"""A wide row a slot in few block RAMs."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.bits import encode
from hdl.tx.choose import any_of, choose

WORDS = 5  # of a row; a select of so many words is as small as one of three


class WordRows(wiring.Component):
    """Rows that are read and written a word a cycle.

    ::

        cycle     0     1     2     3     4     5     6
        reads     0 ─── 1 ─── 2 ─── 3 ─── 4
        row                   0     1     2     3     4 ───  whole, until the next row's first word comes

        offers    0 ─── 1 ─── 2 ─── 3 ─── 4
        write           0     1     2     3     4            a word can be read from the cycle behind this one on

    Ports: `reads`, `offers`: which word's turn it is, one-hot, from the first to the last; with the first `read_slot`,
    `write_slot`; `row`; `data`, of which the word must be there that is offered; `write`: take the one before.

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
                "offers": In(WORDS),
                "write": In(1),
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
        for turns, slot in ((self.reads, self.read_slot), (self.offers, self.write_slot)):
            held = Signal.like(slot, name="held", reset_less=True)
            slots.append(Mux(turns[0], slot, held))
            m.d.sync += held.eq(slots[-1])

        # two words and their selects in a LUT4 in front of a register, which yosys would not find without it
        offered = [(self.offers[n], self.data.word_select(n, self.bits)) for n in range(WORDS)]
        parts = [Signal(self.bits, name=f"part_{n}", reset_less=True) for n in range(0, WORDS, 2)]
        m.d.sync += [part.eq(choose(offered[2 * n : 2 * n + 2])) for n, part in enumerate(parts)]
        turn, address = Signal(), Signal.like(write.addr, reset_less=True)
        m.d.sync += [turn.eq(self.offers.any()), address.eq(Cat(encode(self.offers), slots[1]))]
        m.d.comb += [
            self.row.eq(row),
            read.addr.eq(Cat(encode(self.reads), slots[0])),
            write.addr.eq(address),
            write.en.eq(turn & self.write),
            write.data.eq(any_of(parts)),
        ]
        return m
