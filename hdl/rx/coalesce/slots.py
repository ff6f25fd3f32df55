"""Which slot a flow has, and which flow makes room for a new one."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.net.bits import count_few, encode, equal, halve, prefix_or, total
from hdl.rx.layouts import VNET_BITS
from hdl.stream.paced_pipe import PacedPipe

TAG_BITS = 32
CUTS = {1: (), 2: (1,), 3: (1, 4), 6: (1, 2, 3, 4, 5)}  # by pace: in front of which steps of the loop a register stands


class Slots(wiring.Component):
    """Find a flow by its tag, or make room for it by second chance (CLOCK).

    ::

        tag ─ compare with all ─┬─ found ─────────────────────────────────────────────┬─ slot
        kind ─ compare with all ┴─ count, candidates ─ first at or behind the hand ───┘
                     └──────────────── tags, kinds, marks, hand ◄──────────────────────┘

    Each slot has a tag, a kind and a mark, set when a lookup finds it. If fewer than `quota` slots are of the new one's
    kind, all slots are candidates, else those of its kind. An unused one of them is taken if there is any, else the
    first one without a mark at or behind the hand, and candidates that were passed over lose theirs; if all have marks,
    they lose them and the first is taken. The hand then stands behind it. A slot is never given back.

    Ports: `ready` (always); `valid` (at most every `pace` cycles), `tag`, `kind`, `insert` (make room if it is not
    found), `quota` (1 to `slots`); `found` and `slot` (if found or inserted), `latency` cycles later. Back-pressure:
    none.

    Parameters
    ----------
    pace : cycles from one lookup to the next, at least (1, 2, 3 or 6)
    slots : a power of two, 4 to 256
    """

    def __init__(self, *, pace: int, slots: int):
        if slots & (slots - 1) or not 4 <= slots <= 256:
            raise ValueError(f"slots is {slots}; it must be a power of two from 4 to 256")
        self.pace, self.slots = pace, slots
        self.latency = len(CUTS[pace]) + 2
        super().__init__(
            {
                "ready": Out(1, init=1),
                "valid": In(1),
                "tag": In(TAG_BITS),
                "kind": In(VNET_BITS),
                "insert": In(1),
                "quota": In(range(slots + 1), init=slots),
                "found": Out(1),
                "slot": Out(range(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self.slots
        tags = [Signal(TAG_BITS, name=f"tag_{i}") for i in range(count)]
        kinds = [Signal(VNET_BITS, name=f"kind_{i}", reset_less=True) for i in range(count)]
        used = Signal(count)  # from 0 up
        marks = Signal(count)
        behind = Signal(count, init=-1)  # slots at or behind the hand
        full = used[-1]

        def wide(bit):
            return bit.replicate(count)

        p = PacedPipe(m, self.valid, pace=self.pace, kind=self.kind, insert=self.insert)
        p.put(tag=self.tag | 1 << TAG_BITS - 1)  # no lookup finds the zeros in an unused slot

        def cut(number: int) -> None:
            if number in CUTS[self.pace]:
                p.step()

        p.put(
            match=Cat(equal(m, tag, p.tag) for tag in tags),
            same=Cat(equal(m, kind, self.kind) for kind in kinds) & used,
            plain=~marks & (~used | wide(full)),  # unused ones, or if there are none, those without a mark
        )
        fours = range(0, count, 4)
        p.put(**{f"ones_{i}": count_few(p.same[i : i + 4]) for i in fours})
        cut(1)
        ones = halve([getattr(p, f"ones_{i}") for i in fours])
        p.put(
            found=p.match.any(),
            at=encode(p.match),
            **{f"sum_{i}": value for i, value in enumerate(ones)},
            # is there such a one, is one at or behind the hand: of all slots, of this kind
            some=p.plain.any(),
            far=(p.plain & behind).any(),
            some_of_kind=(p.same & ~marks).any(),
            far_of_kind=(p.same & ~marks & behind).any(),
            far_marked=(p.same & behind).any(),
        )
        cut(2)
        p.put(everyone=total([getattr(p, f"sum_{i}") for i in range(len(ones))]) < self.quota)
        cut(3)
        p.put(
            some=Mux(p.everyone, p.some, p.some_of_kind),
            far=Mux(p.everyone, p.far | ~p.some, Mux(p.some_of_kind, p.far_of_kind, p.far_marked)),
            clears=~p.everyone | full,
        )
        p.put(candidates=p.same | wide(p.everyone))
        p.put(chosen=p.candidates & (Mux(p.everyone, p.plain, ~marks) | wide(~p.some)) & (behind | wide(~p.far)))
        cut(4)

        # -- the first of the chosen ones: in each group, and of the groups
        size = min(8 if count <= 64 else 16, count)
        groups = range(0, count, size)
        p.put(
            upto=Cat(prefix_or(p.chosen[i : i + size]) for i in groups),
            group=Cat(p.chosen[i : i + size].any() for i in groups),
        )
        cut(5)
        p.put(before=Cat(C(0, 1), prefix_or(p.group)[:-1]))  # a group in front of this one has it
        p.put(upto=p.upto | Cat(bit.replicate(size) for bit in p.before))  # it is not behind
        p.put(
            victim=p.upto & ~Cat(C(0, 1), p.upto[:-1]),
            # candidates in front of it, from the hand on and around the end, are passed over; or all have marks
            passed=wide(~p.some) | Mux(p.far, behind & ~p.upto, behind | ~p.upto),
            inserts=p.valid & p.insert & ~p.found,
        )
        # (what is taken has no mark, or loses it as one of those that all have one)
        hits, misses = wide(p.valid), wide(p.inserts & p.clears)
        m.d.sync += marks.eq((marks | (hits & p.match)) & ~(misses & p.candidates & p.passed))
        with m.If(p.inserts):
            m.d.sync += [
                behind.eq(Cat(C(0, 1), p.upto[:-1]) | wide(p.victim[-1])),
                used.eq(used | p.victim),
            ]
        for i in range(count):
            with m.If(p.inserts & p.victim[i]):
                m.d.sync += [tags[i].eq(p.tag), kinds[i].eq(p.kind)]
        p.step()
        p.put(slot=Mux(p.found, p.at, encode(p.victim)))
        p.step()
        assert p.cycles == self.latency
        m.d.comb += [self.found.eq(p.found), self.slot.eq(p.slot)]
        return m
