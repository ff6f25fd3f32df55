"""What is known of each slot's frame."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.rx.reassemble.loop import Loop


class SlotRows(wiring.Component):
    """A row a slot. In block RAM it is read in two words, one after the other: half as many of them are enough.

    ::

        age     2        3        4        5
        RAM     low ──── high ─── high ──────      (of `slot`; from then on the high word)
        early                     first field ──
        row                                row ─

    Ports: `slot` (of part 2), `age` (cycles of the loop so far); `early`: the row's first field, of part 4; `row`, of
    part `part`; two cycles after a later change of `slot` it has that one's second word. `write`, `write_slot`, `data`
    (of part 6). Without block RAM also `other`, and at once `other_row`.

    Parameters
    ----------
    shape : of a row, a structure
    slots : rows
    loop : the registers of the state loop
    """

    def __init__(self, *, shape, slots: int, loop: Loop):
        self.shape, self.slots, self.loop = shape, slots, loop
        self.first_name, field = next(iter(shape))
        self.first = field.shape
        self.part = 5 if loop.block_ram else 4
        number = range(slots)
        super().__init__(
            {
                "slot": In(number),
                "age": In(4),
                "early": Out(self.first),
                "row": Out(shape),
                "write": In(1),
                "write_slot": In(number),
                "data": In(shape),
                "other": In(number),
                "other_row": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if not self.loop.block_ram:
            ram = self.loop.memory(m, "ram", self.shape, self.slots)
            write, other = ram.write_port(), ram.read_port(domain="comb")
            m.d.comb += [
                self.early.eq(self.row[self.first_name]),
                self.row.eq(self.loop.read(m, ram, self.slot, "row")),
                write.en.eq(self.write),
                write.addr.eq(self.write_slot),
                write.data.eq(self.data),
                other.addr.eq(self.other),
                self.other_row.eq(other.data),
            ]
            return m

        size = self.shape.size
        bits = -(-size // 2)
        ram = self.loop.memory(m, "ram", bits, 2 * self.slots)
        word = self.loop.read(m, ram, Cat(self.age != 2, self.slot), "word")
        low, comes = Signal(bits, reset_less=True), Signal()
        m.d.sync += comes.eq(self.age == 3)
        with m.If(comes):
            m.d.sync += low.eq(word)
        m.d.comb += [self.early.eq(Mux(comes, word, low)), self.row.eq(Cat(low, word))]

        write, second = ram.write_port(), Signal()
        first, slot, data = Signal(), Signal.like(self.write_slot), Signal(size, reset_less=True)
        m.d.sync += [first.eq(self.write), second.eq(first)]
        with m.If(self.write):
            m.d.sync += [slot.eq(self.write_slot), data.eq(self.data)]
        m.d.comb += [
            write.en.eq(first | second),
            write.addr.eq(Cat(second, slot)),
            write.data.eq(Mux(second, data[bits:], data[:bits])),
        ]
        return m
