"""Who is in which slot, and who has to go, where events are seven cycles apart."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.rx.reassemble.loop import Loop
from hdl.rx.slots import SecondChance, Tags


class PacedSlots(wiring.Component):
    """`Slots`, in the cycles of a loop that has a register at every joint.

    ::

        part      0     1     2     3     4     5     6
        tag ─── tags ─ slot ─│─ any ─│─────────────────────┐
        kind ── row 0 ─ row 1 ─ row 2 ─ row 3 ─ first ─│─ victim

    Ports: as those of `Slots`; `any` is of part 3, and `free` comes in the cycle behind part 6: a loop that has begun
    by then has to `start` again.

    Parameters
    ----------
    slots : a power of two, 2 to 64
    tag_bits, kind_bits : of a tag and a class
    loop : the registers between the parts: at every joint
    """

    def __init__(self, *, slots: int, tag_bits: int, kind_bits: int, loop: Loop):
        if len(loop.joints) != Loop.PARTS - 1:
            raise ValueError(f"joints are {loop.joints}; there must be a register at each of {Loop.PARTS - 1}")
        self.slots, self.tag_bits, self.kind_bits = slots, tag_bits, kind_bits
        number = exact_log2(slots)
        super().__init__(
            {
                "ready": Out(1),
                "start": In(1),
                "tag": In(tag_bits),
                "kind": In(kind_bits),
                "quota": In(range(slots + 1)),
                "strict": In(1),
                "sweep": In(1),
                "any": Out(1),
                "slot": Out(number),
                "victim": Out(number),
                "vacant": Out(1),
                "mark": In(1),
                "free": In(1),
                "insert": In(1),
                "turn": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tags = tags = Tags(slots=self.slots, bits=self.tag_bits + self.kind_bits)
        m.submodules.chance = chance = SecondChance(slots=self.slots, kind_bits=self.kind_bits)
        swept = Signal(range(self.slots))
        m.d.sync += swept.eq(swept + self.turn)
        m.d.comb += [
            self.ready.eq(tags.ready & chance.ready),
            tags.tag.eq(Cat(self.tag, self.kind)),
            tags.direct.eq(self.sweep),
            tags.number.eq(swept),
            tags.put.eq(self.insert & ~tags.found),
            tags.drop.eq(self.free),
            tags.target.eq(chance.number),
            chance.start.eq(self.start),
            chance.kind.eq(self.kind),
            chance.quota.eq(self.quota),
            chance.strict.eq(self.strict),
            chance.known.eq(tags.found | self.sweep),
            chance.slot.eq(tags.slot),
            chance.mark.eq(self.mark),
            chance.free.eq(self.free),
            chance.insert.eq(self.insert),
            self.any.eq(tags.found),
            self.slot.eq(tags.slot),
            self.victim.eq(chance.number),
            self.vacant.eq(chance.vacant),
        ]
        return m
