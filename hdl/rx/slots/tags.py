"""In which slot a tag is: a content-addressable memory of distributed RAM."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.bits import encode, equal
from hdl.rx.slots.clean import Clean

DIGIT = 4  # bits of a tag that are one address of distributed RAM
GROUP = 4  # slots in one of its cells


class Tags(wiring.Component):
    """Whose tag is it?

    ::

        tag = 0x2b     digit 0 is b: slots 1, 4, 6        a RAM for each digit: a row for each value,
                       digit 1 is 2: slots 0, 4           a bit for each slot
                                     both: slot 4

    A slot's tag is replaced in four cycles: its old tag and those of its neighbours are read, the old one is taken out
    of its row in each RAM, the new one is put into its own. Until then it is compared by itself, so that a lookup in
    the cycle behind `put` finds it.

    Ports: `ready`: all is clean after a reset. `tag`; two cycles later `slot`, three cycles later `found`: no two slots
    have the same tag. `direct`: look at the slot `number` instead; it is found if it has a tag, which is known from the
    seventh cycle behind the latest `put` or `drop` on. `put`: `target` has `tag` now; `drop`: it has none; neither
    comes in the six cycles behind another one.

    Throughput: a lookup every cycle.

    Parameters
    ----------
    slots : a power of two, from 2 to 64
    bits : of a tag
    """

    def __init__(self, *, slots: int, bits: int):
        self.slots, self.bits = slots, bits
        number = exact_log2(slots)
        super().__init__(
            {
                "ready": Out(1),
                "tag": In(bits),
                "direct": In(1),
                "number": In(number),
                "found": Out(1),
                "slot": Out(number),
                "put": In(1),
                "drop": In(1),
                "target": In(number),
            }
        )

    def elaborate(self, platform):
        m = Module()
        group = min(GROUP, self.slots)
        groups = self.slots // group
        lane_bits = exact_log2(group)
        cuts = [slice(at, min(at + DIGIT, self.bits)) for at in range(0, self.bits, DIGIT)]

        # -- look a tag up
        clean = Clean(m, max(groups, 1 << min(DIGIT, self.bits)))
        m.d.comb += self.ready.eq(clean.ready)
        writes, columns = [], []
        for n, cut in enumerate(cuts):
            m.submodules[f"digit_{n}"] = ram = memory.Memory(
                shape=data.ArrayLayout(unsigned(group), groups),
                depth=max(1 << cut.stop - cut.start, 2),
                init=[],
                attrs={"ram_style": "distributed"},
            )
            read = ram.read_port(domain="comb")
            m.d.comb += read.addr.eq(self.tag[cut])
            columns.append(read.data.as_value())
            writes.append(ram.write_port(granularity=1))
        match = Signal(self.slots)
        together = columns[0]
        for column in columns[1:]:
            together = together & column
        m.d.sync += match.eq(together)

        # -- what is being replaced
        target, tag, has = Signal(range(self.slots)), Signal(self.bits), Signal()
        step = Signal(range(5))  # 0: at rest
        busy = step != 0
        with m.If(self.put | self.drop):
            m.d.sync += [target.eq(self.target), tag.eq(self.tag), has.eq(self.put), step.eq(1)]
        with m.Elif(busy):
            m.d.sync += step.eq(Mux(step == 4, 0, step + 1))

        # -- the answer
        pending, mine = Signal(), Signal()
        m.d.sync += [pending.eq(busy), mine.eq(busy & has & equal(m, tag, self.tag))]
        some, late_pending, late_mine = Signal(), Signal(), Signal()
        m.d.sync += [
            some.eq(match.any()),
            late_pending.eq(pending),
            late_mine.eq(mine),
            self.slot.eq(Mux(self.direct, self.number, Mux(mine, target, encode(match)))),
        ]
        taken = Signal()  # of the slot that is looked at
        there = late_mine | (some & ~(late_pending & (self.slot == target)))
        m.d.sync += self.found.eq(Mux(self.direct, taken, there))

        # -- replace
        m.submodules.tags = ram = memory.Memory(
            shape=data.ArrayLayout(unsigned(self.bits + 1), group),
            depth=max(groups, 2),
            init=[],
            attrs={"ram_style": "distributed"},
        )
        read, write = ram.read_port(domain="comb"), ram.write_port(granularity=1)
        lanes = Signal(read.data.shape())
        m.d.comb += read.addr.eq(Mux(busy, target, self.slot)[lane_bits:])
        m.d.sync += lanes.eq(read.data)
        which = Mux(busy, target, self.slot)[:lane_bits]
        one = lanes.as_value().word_select(which, self.bits + 1)
        m.d.comb += taken.eq(one[-1])
        lane = (1 << target[:lane_bits])[:group]
        clean.write(
            m,
            write,
            Mux(step == 4, lane, 0),
            target[lane_bits:],
            Cat(tag, has).replicate(group),
        )
        rows = Signal(self.bits)
        with m.If(step == 2):
            m.d.sync += rows.eq(one)
        with m.Elif(step == 3):
            m.d.sync += rows.eq(tag)
        hot = Signal(groups)
        m.d.comb += hot.eq(Mux((step == 3) | ((step == 4) & has), 1 << target[lane_bits:], 0))
        for cut, write in zip(cuts, writes, strict=True):
            others = Cat(lanes[n][-1] & (lanes[n][cut] == rows[cut]) for n in range(group))
            word = (others & ~lane) | Mux(step == 4, lane, 0)
            clean.write(m, write, hot, rows[cut], word.replicate(groups))
        return m
