"""Replacing words of an outer template by the values of their codes."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.registers.patches import OUTER_PATCH_BITS, OuterPatch
from hdl.stream.beat import delayed, swap16
from hdl.tx.layouts import OuterValues

CODES = 1 << OUTER_PATCH_BITS


class OuterPatcher(wiring.Component):
    """Replace every word of a template's row whose code is not 0, and clear words outside the header.

    Values wait in distributed RAM, a slot a record, and are read beside the row.

    ::

        values ──> [ slot, slot, .. ] ──> choose ──┐
        data, codes, inside ───────────── decode ──┴──> combine ──> o

    Ports, record side: `valid`, `values`, `skip` (the record has no words: its values are not needed), `ready`, `slot`
    (on the cycle in which `valid` and `ready` meet: where the values are). Row side: `data`, `codes`, `inside` (a bit
    a word), `read_slot`; `o` `latency` cycles later; `free` after a slot's last row.

    Parameters
    ----------
    width : bytes a beat
    """

    SLOTS = 16

    def __init__(self, width: int):
        self.width = width
        self.latency = 4
        super().__init__(
            {
                "valid": In(1),
                "skip": In(1),
                "values": In(OuterValues),
                "ready": Out(1),
                "slot": Out(exact_log2(self.SLOTS)),
                "data": In(8 * width),
                "codes": In(OUTER_PATCH_BITS * (width // 2)),
                "inside": In(width // 2),
                "read_slot": In(exact_log2(self.SLOTS)),
                "free": In(1),
                "o": Out(8 * width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = memory.Memory(shape=OuterValues, depth=self.SLOTS, init=[])
        write_port, read_port = slots.write_port(), slots.read_port(domain="comb")
        m.d.comb += [
            self.ready.eq(1),
            write_port.en.eq(self.valid),
            write_port.addr.eq(self.slot),
            write_port.data.eq(self.values),
            read_port.addr.eq(delayed(m, self.read_slot, 1, name="slot")),
        ]
        with m.If(self.valid):
            m.d.sync += self.slot.eq(self.slot + 1)

        values = Signal(OuterValues, reset_less=True)
        m.d.sync += values.eq(read_port.data)
        flat = values.as_value()
        data = delayed(m, self.data, 2, name="data")
        for lane in range(self.width // 2):
            code = self.codes[OUTER_PATCH_BITS * lane :][:OUTER_PATCH_BITS]
            at = slice(16 * lane, 16 * lane + 16)
            # one-hot selects, in two cycles
            low, high = Signal(4, name=f"low_{lane}", reset_less=True), Signal(8, name=f"high_{lane}", reset_less=True)
            select = Signal(CODES, name=f"select_{lane}", reset_less=True)
            m.d.sync += [
                low.eq(Cat(self.inside[lane] & (code[:2] == number) for number in range(4))),
                high.eq(Cat(code[2:] == number for number in range(8))),
                select.eq(Cat(low[number & 3] & high[number >> 2] for number in range(CODES))),
            ]
            choices = {0: data[at]} | {n: swap16(flat[16 * n - 16 : 16 * n]) for n in range(1, CODES)}
            for index, code_ in enumerate((OuterPatch.NEXT_HOP_0, OuterPatch.NEXT_HOP_1, OuterPatch.NEXT_HOP_2)):
                if lane != index:  # the destination MAC is where a packet begins, and nowhere else
                    del choices[code_]
            numbers = list(choices)
            groups = []
            for first in range(0, len(numbers), 8):
                group = Signal(16, name=f"group_{lane}_{first}", reset_less=True)
                m.d.sync += group.eq(_any(choices[n] & select[n].replicate(16) for n in numbers[first : first + 8]))
                groups.append(group)
            m.d.sync += self.o[at].eq(_any(groups))
        return m


def _any(values):
    """All values ORed."""
    result = 0
    for value in values:
        result = value | result
    return result
