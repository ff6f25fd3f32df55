"""Who is in which slot, and who has to go."""

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.rx.reassemble.loop import Loop


def encode(hot: Value) -> Value:
    """The number of the bit that is set; 0 if none is."""
    count = exact_log2(len(hot))
    return Cat(Cat(hot[n] for n in range(len(hot)) if n >> bit & 1).any() for bit in range(count))


def from_first(m: Module, value: Value) -> Value:
    """Bit n is set where bit n or one below it is set."""
    distance = 1
    while distance < len(value):
        wider = Signal(len(value), name=f"within_{2 * distance}")
        m.d.comb += wider.eq(value | (value << distance))
        value, distance = wider, 2 * distance
    return value


class Slots(wiring.Component):
    """A tag for each slot; and second chance (CLOCK), with a share for each class.

    ::

        slot     0     1     2     3     4     5          an insertion begins at the hand
                 A     B'    A     -     C'    C          ': marked since the hand last came by; -: unused
                       ↑ hand                             B' is passed over and loses its mark

    The victim is the first unused slot from the hand on, else the first that is not marked, else (all are) the first;
    once no slot is unused, a class that has its share makes room among its own. The hand goes on behind the victim.

    Two slots of a class never have the same tag: who comes with the tag of another takes its place. So a lookup has one
    candidate.

    Ports: `tag`, `kind` (the class), `quota` and `sweep` (look at the slot whose turn it is instead) stand still during
    a loop. `any`, `slot` (of part 2): the slot with that tag; `victim` (of part 6) and `vacant`: nobody is in it. In
    the cycle of part 6: `mark` or `free` (that slot), `insert` (into it, or if there is none the victim), `turn` (on
    to the next slot to be swept).

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
                "tag": In(tag_bits),
                "kind": In(kind_bits),
                "quota": In(range(slots + 1)),
                "sweep": In(1),
                "any": Out(1),
                "slot": Out(number),
                "victim": Out(number),
                "vacant": Out(1),
                "mark": In(1),
                "free": In(1),
                "free_kind": In(kind_bits),
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
        counts = [Signal(range(size + 1), name=f"count_{kind}") for kind in range(1 << self.kind_bits)]
        behind = Signal(size)  # bit n: slot n is at the hand or behind it; none: the hand is at slot 0
        swept = Signal(size, init=1)  # whose turn it is, one-hot

        # part 0
        same = Cat(used[n] & (kinds[n] == self.kind) for n in range(size))
        match = Cat(Mux(self.sweep, swept[n] & used[n], same[n] & (tags[n] == self.tag)) for n in range(size))
        match = joint(m, 0, match, "match")
        same = joint(m, 0, same, "same")
        count = joint(m, 0, Array(counts)[self.kind], "count")

        # part 1
        found = joint(m, 1, match.any(), "found")
        m.d.comb += [self.any.eq(found), self.slot.eq(joint(m, 1, encode(match), "slot"))]
        under = (count < self.quota) | ~used.all()
        free_first = joint(m, 1, under & ~used.all(), "free_first")
        among_own = joint(m, 1, ~under, "among_own")
        some_unmarked = (used & ~marked).any()
        some_own_unmarked = (same & ~marked).any()
        unmarked_first = joint(m, 1, Mux(under, some_unmarked, some_own_unmarked), "unmarked_first")

        # part 2: those of whom the first is the victim
        everyone = Cat(same[n] | ~among_own for n in range(size))
        chosen = Cat(Mux(free_first, ~used[n], everyone[n] & ~(marked[n] & unmarked_first)) for n in range(size))
        chosen = joint(m, 2, chosen, "chosen")
        # part 3
        from_hand = joint(m, 3, (chosen & behind).any(), "from_hand")
        # part 4
        reached = joint(m, 4, from_first(m, chosen & (behind | (~from_hand).replicate(size))), "reached")
        # part 5
        behind_victim = (reached << 1)[:size]
        hot = reached & ~behind_victim
        hot_kind = Cat(Cat(hot[n] & kinds[n][bit] for n in range(size)).any() for bit in range(self.kind_bits))
        victim = joint(m, 5, hot, "victim_hot")
        victim_kind = joint(m, 5, hot_kind, "victim_kind")
        m.d.comb += [self.victim.eq(joint(m, 5, encode(hot), "victim_number")), self.vacant.eq(free_first)]

        # part 6
        replace = self.insert & ~found
        skipped = Mux(from_hand, behind & ~reached, behind | ~reached)
        spared = Mux(unmarked_first, skipped, (1 << size) - 1) & everyone
        with m.If(self.mark):
            m.d.sync += marked.eq(marked | match)
        with m.If(self.free):
            m.d.sync += used.eq(used & ~match)
        with m.If(self.insert):
            m.d.sync += marked.eq(marked & ~Mux(found, match, victim | Mux(free_first, 0, spared)))
        with m.If(replace):
            m.d.sync += [used.eq(used | victim), behind.eq(behind_victim)]
            for n in range(size):
                with m.If(victim[n]):
                    m.d.sync += [tags[n].eq(self.tag), kinds[n].eq(self.kind)]
        with m.If(self.turn):
            m.d.sync += swept.eq(swept.rotate_left(1))
        for kind, one in enumerate(counts):
            more = replace & (self.kind == kind)
            less = Mux(self.free, self.free_kind == kind, replace & ~free_first & (victim_kind == kind))
            m.d.sync += one.eq(one + more - less)
        return m
