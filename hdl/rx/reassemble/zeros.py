"""Fragments at offset 0 whose facts are still on their way."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2


class Zeros(wiring.Component):
    """What is to be done with the facts of each fragment at offset 0, in the order of the fragments.

    ::

        add ──> [ entry entry entry entry ] ──> o (facts n belong to entry n)
                        ↑ change

    Ports: `add` an `entry`, which gets `number`; `change` that of `change_number` to `entry` (never both at once);
    `room` (a register: one may be added, and one more that was begun before); `some`, `o`: the oldest, `number_o`;
    `pop`.
    Latency: 1 cycle; 2 where entries come late in a cycle, and then `number` counts one from the cycle behind the next.

    Parameters
    ----------
    shape : of an entry
    depth : a power of two
    late : entries come late in a cycle, and not every cycle
    """

    def __init__(self, *, shape, depth: int, late: bool):
        self.shape, self.depth, self.late = shape, depth, late
        self.bits = exact_log2(depth)
        super().__init__(
            {
                "add": In(1),
                "change": In(1),
                "change_number": In(self.bits),
                "entry": In(shape),
                "number": Out(self.bits),
                "room": Out(1),
                "some": Out(1),
                "o": Out(shape),
                "number_o": Out(self.bits),
                "pop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "distributed"}
        )
        write, read = ram.write_port(), ram.read_port(domain="comb")
        held, some = Signal(range(self.depth + 1)), Signal()  # `some`: held != 0
        add, change = Signal(), Signal()
        change_number, entry = Signal(self.bits, reset_less=True), Signal(self.shape, reset_less=True)
        m.d["sync" if self.late else "comb"] += [
            add.eq(self.add),
            change.eq(self.change),
            change_number.eq(self.change_number),
            entry.eq(self.entry),
        ]
        m.d.comb += [
            write.en.eq(add | change),
            write.data.eq(entry),
            read.addr.eq(self.number_o),
            self.o.eq(read.data),
        ]
        with m.If(change):
            m.d.comb += write.addr.eq(change_number)
        with m.Else():
            m.d.comb += write.addr.eq(self.number)
        m.d.comb += self.some.eq(some & ~(change & self.late))  # the oldest may be about to change
        m.d.sync += [
            self.number.eq(self.number + add),
            self.number_o.eq(self.number_o + self.pop),
            held.eq(held + add - self.pop),
            some.eq(add | Mux(self.pop, held > 1, some)),  # `pop` comes late
            self.room.eq(held < self.depth - (4 if self.late else 3)),
        ]
        return m


def zero_layout(slot_bits: int, record) -> data.StructLayout:
    """What to do with the facts of a fragment at offset 0; neither: nothing, the fragment was not taken."""
    return data.StructLayout(
        {
            "wait": 1,  # keep them for the frame in `slot`
            "finish": 1,  # the frame is whole: hand it up
            "slot": slot_bits,
            "record": record,
        }
    )
