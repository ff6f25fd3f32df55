"""Who is in which slot, and who has to go."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.bits import count_few, encode, equal, halve, prefix_or, total
from hdl.rx.reassemble.loop import Loop


def first_in(within, before):
    """The lowest bit of a group, given which bits have one at or below them; none if a group `before` has one."""
    return within & ~Cat(before, within[:-1]) & ~before.replicate(len(within))


class Slots(wiring.Component):
    """A tag for each slot; and second chance (CLOCK), with a share for each class.

    ::

        slot     0     1     2     3     4     5          an insertion begins at the hand
                 A     B'    A     -     C'    C          ': marked since the hand last came by; -: unused
                       ↑ hand                             B' is passed over and loses its mark

    The victim is the first unused slot from the hand on, else the first that is not marked, else (all are) the first; a
    class that has its share makes room among its own (if not `strict`, once no slot is unused). The hand goes on behind
    the victim.

    Two slots of a class never have the same tag: who comes with the tag of another takes its place. So a lookup has one
    candidate.

    Ports: `ready` (always); `start`: a loop begins. `tag`, `kind` (the class), `quota`, `strict` and `sweep` (look at
    the slot whose turn it is instead) stand still during a loop. `any`, `slot` (of part 2): the slot with that tag;
    `victim` (of part 6) and `vacant`: nobody is in it. In the cycle of part 6: `mark` or `free` (that slot), `insert`
    (into it, or if there is none the victim), `turn` (on to the next slot to be swept).

    Parameters
    ----------
    slots : a power of two
    tag_bits, kind_bits : of a tag and a class
    loop : the registers between the parts
    """

    def __init__(self, *, slots: int, tag_bits: int, kind_bits: int, loop: Loop):
        self.slots, self.tag_bits, self.kind_bits, self.loop = slots, tag_bits, kind_bits, loop
        number = exact_log2(slots)
        super().__init__(
            {
                "ready": Out(1, init=1),
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
        joint, size = self.loop.joint, self.slots
        used, marked = Signal(size), Signal(size)
        tags = [Signal(self.tag_bits, name=f"tag_{n}", reset_less=True) for n in range(size)]
        kinds = [Signal(self.kind_bits, name=f"kind_{n}", reset_less=True) for n in range(size)]
        behind = Signal(size, init=-1)  # slots at or behind the hand
        swept = Signal(size, init=1)  # whose turn it is, one-hot

        def all_slots(bit):
            return bit.replicate(size)

        # part 0: those with this tag; those of this class
        same, match = Signal(size), Signal(size)
        m.d.comb += same.eq(Cat(equal(m, kind, self.kind) for kind in kinds) & used)
        with m.If(self.sweep):
            m.d.comb += match.eq(swept & used)
        with m.Else():
            m.d.comb += match.eq(Cat(equal(m, tag, self.tag) for tag in tags) & same)
        match = joint(m, 0, match, "match")
        same = joint(m, 0, same, "same")

        # part 1: the match; and is there one who may go at once, is there one from the hand on: of all, of this class
        full = used.all()
        own = same & ~marked
        plain = Mux(full, ~marked, ~used)
        found = joint(m, 1, match.any(), "found")
        unused = joint(m, 1, ~full, "unused_1")
        some_plain = joint(m, 1, plain.any(), "some_plain")
        far_plain = joint(m, 1, (plain & behind).any(), "far_plain")
        some_own = joint(m, 1, own.any(), "some_own")
        far_own = joint(m, 1, (own & behind).any(), "far_own")
        far_same = joint(m, 1, (same & behind).any(), "far_same")
        m.d.comb += [self.any.eq(found), self.slot.eq(joint(m, 1, encode(match), "slot"))]

        # parts 1 to 3: has the class its share
        fours = [count_few(Cat(same[at : at + 4], Const(0, 4))[:4]) for at in range(0, size, 4)]
        fours = [joint(m, 1, value, f"four_{n}") for n, value in enumerate(fours)]
        sums = [joint(m, 2, value, f"sum_{n}") for n, value in enumerate(halve(fours))]
        everyone = Signal()
        m.d.comb += everyone.eq((total(sums) < self.quota) | (unused & ~self.strict))
        vacant = joint(m, 3, everyone & unused, "vacant")
        m.d.comb += self.vacant.eq(vacant)
        some = joint(m, 3, Mux(everyone, some_plain, some_own), "some")
        far = Mux(everyone, far_plain | ~some_plain, Mux(some_own, far_own, far_same))
        far = joint(m, 3, far, "far")
        everyone = joint(m, 3, everyone, "everyone_3")

        # part 4: of whom the first goes; the first in each group
        candidates, chosen = Signal(size), Signal(size)
        m.d.comb += [
            candidates.eq(same | all_slots(everyone)),
            chosen.eq(
                candidates & (Mux(vacant, ~used, ~marked) | all_slots(~some)) & (behind | all_slots(~far)),
            ),
        ]
        group = min(8, size)
        groups = range(0, size, group)
        within = joint(m, 4, Cat(prefix_or(chosen[at : at + group]) for at in groups), "within")
        which = joint(m, 4, Cat(chosen[at : at + group].any() for at in groups), "which")

        # part 5: the first of all
        before = Cat(Const(0, 1), prefix_or(which)[:-1])  # a group in front of this one has it
        reached, hot = Signal(size), Signal(size)
        m.d.comb += [
            reached.eq(within | Cat(bit.replicate(group) for bit in before)),
            hot.eq(Cat(first_in(within[at : at + group], before[at // group]) for at in groups)),
        ]
        victim = joint(m, 5, hot, "victim_hot")
        reached = joint(m, 5, reached, "reached")

        # part 6: those in front of it, from the hand on and around the end, are passed over; or all have marks
        replace = Signal()
        passed = all_slots(~some) | Mux(far, behind & ~reached, behind | ~reached)
        m.d.comb += [self.victim.eq(encode(victim)), replace.eq(self.insert & ~found)]
        cleared = Mux(found, match, victim | (candidates & passed & all_slots(~vacant)))
        m.d.sync += marked.eq((marked | (match & all_slots(self.mark))) & ~(cleared & all_slots(self.insert)))
        m.d.sync += used.eq((used & ~(match & all_slots(self.free))) | (victim & all_slots(replace)))
        with m.If(replace):
            m.d.sync += behind.eq((reached & ~victim) | all_slots(victim[-1]))
            for n in range(size):
                with m.If(victim[n]):
                    m.d.sync += [tags[n].eq(self.tag), kinds[n].eq(self.kind)]
        with m.If(self.turn):
            m.d.sync += swept.eq(swept.rotate_left(1))
        return m
