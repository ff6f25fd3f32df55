"""What the fragments at offset 0 have said of the frames that are in slots."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.rx.reassemble.facts import FrameFacts
from hdl.rx.reassemble.loop import Loop

WORDS = 3  # of a row in block RAM


class SlotFacts(wiring.Component):
    """Keep the facts of a frame until it is whole, or let them pass.

    ::

        block RAM                  ┌──── word 0 ◄─ word 1 ◄─ word 2 ◄── RAM        a look at a slot: its row comes in
                            RAM ◄──┘        ↑         ↑         ↑
                                            └──── given ────────┘                 facts come, and their row goes out

        the others          RAM and `given` ─ one register

    Ports: `slot` (of part 2), `age` (cycles of the loop so far); `here` (of part 6): its facts are stored, and are
    `facts` a cycle later. `load`, in a cycle in which no look is in part 1 or further: `facts` are `given`, a cycle
    later and for one cycle; with `keep` they are also stored as those of `kept_slot`; not while `busy`. `open`, of part
    6: `opened_slot` has another frame, whose facts are not here.

    Parameters
    ----------
    slots : frames
    loop : the registers of the state loop
    """

    def __init__(self, *, slots: int, loop: Loop):
        self.slots, self.loop = slots, loop
        number = exact_log2(slots)
        super().__init__(
            {
                "slot": In(number),
                "age": In(4),
                "here": Out(1),
                "facts": Out(FrameFacts),
                "load": In(1),
                "given": In(FrameFacts),
                "keep": In(1),
                "kept_slot": In(number),
                "busy": Out(1),
                "open": In(1),
                "opened_slot": In(number),
            }
        )

    def elaborate(self, platform):
        m = Module()
        loop = self.loop
        size = len(self.given.as_value())
        words = WORDS if loop.block_ram else 1
        bits, number_bits = -(-size // words), (words - 1).bit_length()
        shape = data.StructLayout({"here": 1, "word": bits})
        ram = loop.memory(m, "ram", shape, self.slots << number_bits)
        write = ram.write_port()
        facts = Signal(words * bits, reset_less=True)
        m.d.comb += self.facts.eq(facts)

        if not loop.block_ram:
            stored = shape(loop.read(m, ram, self.slot, "stored"))
            m.d.sync += facts.eq(Mux(self.load, self.given, stored.word))
            m.d.comb += [
                self.here.eq(loop.joint(m, 5, loop.joint(m, 4, stored.here, "here_4"), "here_5")),
                # no facts are kept in the cycle of a decision
                write.en.eq(self.open | self.keep),
                write.addr.eq(Mux(self.open, self.opened_slot, self.kept_slot)),
                write.data.here.eq(~self.open),
                write.data.word.eq(self.given),
            ]
            return m

        # a row comes in; the word that says whether it is here first
        stored = shape(loop.read(m, ram, Cat((self.age - 2)[:number_bits], self.slot), "stored"))
        comes, goes, number = Signal(), Signal(), Signal(range(words))
        first = Signal()
        m.d.sync += [first.eq(self.age == 3), comes.eq((self.age >= 3) & (self.age < 3 + words))]
        with m.If(first):
            m.d.sync += self.here.eq(stored.here)
        with m.If(self.load):
            m.d.sync += facts.eq(self.given)
        with m.Elif(comes | goes):
            m.d.sync += facts.eq(Cat(facts[bits:], stored.word))

        # a row goes out, each word a cycle before a look that has just begun reads it
        opens, keeps, slot = Signal(), Signal(), Signal.like(self.kept_slot)
        m.d.sync += opens.eq(self.open)
        m.d.comb += self.busy.eq(goes & (number != words - 1))
        with m.If(self.open):
            m.d.sync += slot.eq(self.opened_slot)
        m.d.sync += goes.eq(self.load | self.busy)
        with m.If(self.load):  # `keep` comes late: it only says whether what goes out is written
            m.d.sync += [number.eq(0), slot.eq(self.kept_slot), keeps.eq(self.keep)]
        with m.Elif(goes):
            m.d.sync += number.eq(number + 1)
        m.d.comb += [
            write.en.eq(opens | (goes & keeps)),
            write.addr.eq(Cat(Mux(opens, 0, number), slot)),
            write.data.here.eq(~opens),
            write.data.word.eq(facts[:bits]),
        ]
        return m
