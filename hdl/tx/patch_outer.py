"""Replacing words of an outer template by the values of their codes.

A word may become any of 31 values: at 8 bytes a beat that multiplexer would be larger than all else on the way out. So
there are two ways to do the same, with the same ports; `outer_patcher` chooses.
"""

from amaranth import C, Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.registers.patches import OUTER_PATCH_BITS, OuterPatch
from hdl.stream.beat import delayed, swap16
from hdl.tx.choose import Chooser, any_of, choose
from hdl.tx.layouts import OuterValues

CODES = 1 << OUTER_PATCH_BITS
SLOT_DEPTH = 16  # of distributed RAM on ECP5
NEXT_HOP = (OuterPatch.NEXT_HOP_0, OuterPatch.NEXT_HOP_1, OuterPatch.NEXT_HOP_2)


class OuterPatcher(wiring.Component):
    """Replace every word of a template's row whose code is not 0, and clear words outside the header.

    ::

        valid, values ──> [ slot │ slot │ .. ] ──> choose ──┐
        data, codes, inside ───────────────────── decode ──┴──> combine ──> o

    Ports, record side: `valid`, `values`, `skip` (no words: the values are not needed), `room` (a record may be
    accepted); `accept` (once a record: its values will be in `slot`), `ready` (the record is done with).
    Row side: `data`, `codes`, `inside` (a bit a word), `read_slot`, at the earliest `LEAD` cycles after `accept`; `o`
    comes `latency` cycles later. `free` gives the oldest slot back; at the earliest with its last row.

    Parameters
    ----------
    width : bytes a beat
    slots : records whose values are kept
    """

    LEAD = 9
    latency: int

    def __init__(self, width: int, slots: int):
        self.width, self.slots, self.lanes = width, slots, width // 2
        super().__init__(
            {
                "valid": In(1),
                "room": In(1),
                "skip": In(1),
                "values": In(OuterValues),
                "accept": Out(1),
                "ready": Out(1),
                "slot": Out(exact_log2(slots)),
                "data": In(8 * width),
                "codes": In(OUTER_PATCH_BITS * self.lanes),
                "inside": In(self.lanes),
                "read_slot": In(exact_log2(slots)),
                "free": In(1),
                "o": Out(8 * width),
            }
        )

    def code(self, lane: int):
        """The code of a word of the row."""
        return self.codes[OUTER_PATCH_BITS * lane :][:OUTER_PATCH_BITS]


class BankedPatcher(OuterPatcher):
    """An `OuterPatcher` that lets distributed RAM do the choosing.

    A record's values are dealt out to banks, one a word of a beat, over a few cycles; every word has a copy of all
    banks, reads a row of it by the upper bits of its code, and chooses a bank by the lower ones.

    ::

        code      0  1  2  3      4 banks, at 8 bytes a beat:
                  4  5  6  7      8 rows a slot, 2 slots,
                  :  :  :  :      one row written a cycle
                 28 29 30 31

    Latency: 2 cycles. Throughput: a record takes 8 cycles at 8 bytes and 4 at 16, less than its packet on the line;
    one that is skipped takes 2.
    """

    latency = 2

    def __init__(self, width: int):
        self.banks = width // 2
        self.rows = CODES // self.banks
        super().__init__(width, SLOT_DEPTH // self.rows)

    def elaborate(self, platform):
        m = Module()
        row = Signal(self.rows, init=1)  # that is being dealt out, one-hot
        used = Signal(range(self.slots + 1))  # slots
        start = Signal()
        deal = Signal()
        m.d.comb += [
            # what is begun is dealt out without a pause, so that rows may be read before the last is there
            start.eq(self.valid & ~self.skip & row[0] & self.room & (used != self.slots)),
            deal.eq(start | ~row[0]),
            self.accept.eq(start | (self.ready & row[0])),
        ]
        with m.If(deal):
            m.d.sync += row.eq(row.rotate_left(1))
        with m.If(row[-1]):
            m.d.sync += self.slot.eq(self.slot + 1)
        m.d.sync += [
            used.eq(used + start - self.free),
            # a register: on while the last row is dealt out, or for a record without words
            self.ready.eq(row[-2] | (self.valid & self.skip & self.room & row[0] & ~self.ready)),
        ]

        flat = self.values.as_value()
        choices = [C(0, 16)] + [swap16(flat[16 * code - 16 : 16 * code]) for code in range(1, CODES)]
        enable = delayed(m, deal, 1, name="enable")
        address = Signal(range(SLOT_DEPTH), reset_less=True)
        number = Cat(any_of(row[n] for n in range(self.rows) if n >> bit & 1) for bit in range(exact_log2(self.rows)))
        m.d.sync += address.eq(Cat(number, self.slot))
        dealt = []
        for bank in range(self.banks):
            word = Signal(16, name=f"dealt_{bank}", reset_less=True)
            m.d.sync += word.eq(choose((row[n], choices[n * self.banks + bank]) for n in range(self.rows)))
            dealt.append(word)

        bank_bits = exact_log2(self.banks)
        for lane in range(self.lanes):
            code, inside = self.code(lane), self.inside[lane]
            at = slice(16 * lane, 16 * lane + 16)
            keep = Signal(name=f"keep_{lane}", reset_less=True)
            data = Signal(16, name=f"data_{lane}", reset_less=True)
            m.d.sync += [keep.eq((code == 0) & inside), data.eq(self.data[at])]
            terms = [(keep, data)]
            for bank in range(self.banks):
                mem = memory.Memory(shape=16, depth=SLOT_DEPTH, init=[])
                m.submodules[f"values_{lane}_{bank}"] = mem
                write_port, read_port = mem.write_port(), mem.read_port(domain="comb")
                select = Signal(name=f"select_{lane}_{bank}", reset_less=True)
                value = Signal(16, name=f"value_{lane}_{bank}", reset_less=True)
                m.d.comb += [
                    write_port.en.eq(enable),
                    write_port.addr.eq(address),
                    write_port.data.eq(dealt[bank]),
                    read_port.addr.eq(Cat(code[bank_bits:], self.read_slot)),
                ]
                m.d.sync += [
                    select.eq((code[:bank_bits] == bank) & (code != 0) & inside),
                    value.eq(read_port.data),
                ]
                terms.append((select, value))
            m.d.sync += self.o[at].eq(choose(terms))
        return m


class DirectPatcher(OuterPatcher):
    """An `OuterPatcher` that chooses among all values at once, where a packet may come every cycle.

    The next hop's words are known only to the words in which they lie, the first three of a beat.

    Latency: 4 cycles. Throughput: a record a cycle.
    """

    latency = 4

    def __init__(self, width: int):
        super().__init__(width, SLOT_DEPTH)

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = memory.Memory(shape=OuterValues, depth=self.slots, init=[])
        write_port, read_port = slots.write_port(), slots.read_port(domain="comb")
        m.d.comb += [
            self.ready.eq(self.room),
            self.accept.eq(self.valid & self.room),
            write_port.en.eq(self.accept),
            write_port.addr.eq(self.slot),
            write_port.data.eq(self.values),
            read_port.addr.eq(delayed(m, self.read_slot, 1, name="slot")),
        ]
        with m.If(self.accept):
            m.d.sync += self.slot.eq(self.slot + 1)

        values = Signal(OuterValues, reset_less=True)
        m.d.sync += values.eq(read_port.data)
        flat = values.as_value()
        for lane in range(self.lanes):
            numbers = [n for n in range(CODES) if n not in NEXT_HOP or n == NEXT_HOP[0] + lane]
            m.submodules[f"word_{lane}"] = word = Chooser(numbers, six=True)
            # code 0 keeps what is there, which is nothing outside the header
            code = Signal(OUTER_PATCH_BITS, name=f"code_{lane}", reset_less=True)
            kept = Signal(16, name=f"kept_{lane}", reset_less=True)
            m.d.sync += [
                code.eq(self.code(lane) & self.inside[lane].replicate(OUTER_PATCH_BITS)),
                kept.eq(self.data.word_select(lane, 16) & self.inside[lane].replicate(16)),
            ]
            m.d.comb += [word.number.eq(code), word.words[0].eq(delayed(m, kept, 1, name=f"kept_{lane}"))]
            for at, number in enumerate(numbers[1:], 1):
                m.d.comb += word.words[at].eq(swap16(flat[16 * number - 16 : 16 * number]))
            m.d.comb += self.o.word_select(lane, 16).eq(word.o)
        return m


def outer_patcher(width: int) -> OuterPatcher:
    """The smaller of the two that keeps up with the line: banks grow with the square of the width."""
    return BankedPatcher(width) if width <= 16 else DirectPatcher(width)
