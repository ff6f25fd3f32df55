"""Which slot makes room, found in a revolution of the hand of at most four steps."""

from amaranth import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.bits import encode, equal, prefix_or
from hdl.rx.slots.clean import Clean

LANES = 16  # slots that are looked at in a cycle
FOUR = 4


def first_of(value) -> tuple:
    """Bits at or behind the lowest one that is set; and that one alone. In fours: a tree."""
    fours = [value[at : at + FOUR] for at in range(0, len(value), FOUR)]
    within = Cat(prefix_or(four) for four in fours)
    below = Cat(Cat(Const(0, 1), prefix_or(four)[:-1]) for four in fours)
    reached = Cat(Const(0, 1), prefix_or(Cat(four.any() for four in fours)))
    before = Cat(reached[n].replicate(len(four)) for n, four in enumerate(fours))
    return within | before, value & ~below & ~before


class SecondChance(wiring.Component):
    """Slots with a class and a mark; room is made by second chance (CLOCK), with a share for each class.

    ::

        row 0   A  B' A  -     C' C  A  B        a row a cycle, from the hand's on
            1   B' B' A  C ◄─┐                   ': marked since the hand last came by; -: unused
            2   A  A  C' A   │ hand
            3   C  C  A  B

        cycle      0    1    2    3    4     5      6
        read     hand   +1   +2   +3  hand  the chosen row
        look at       hand   +1   +2   +3   first   `number`

    The victim is the first unused slot from the hand on, else the first that is not marked, else (all are) the first; a
    class that has its share makes room among its own (if not `strict`, once no slot is unused). Marks that are passed
    over are taken away. The hand goes on behind the victim. As in `sim.model.slots`.

    Nothing of that counts before `insert`: the marks that it leaves are written to the other half of their RAM, and an
    insertion turns the halves round. So a lookup may look for a victim that it does not need in the end.

    Each row of slots lies in distributed RAM, and so does the number of slots of each class; what becomes of the old
    one's class is settled in the next lookup's second cycle.

    Ports: `ready`: all is clean after a reset. `start` (cycle 0, at most every seventh, unless a lookup is given up for
    the next one), `quota`, `strict`, `kind` (the class), which stand still until the end. Either `tag`, which also
    stands still, and `found` (of cycle 5): it is in a slot; or `known` and `slot` (of cycle 5): the owner has found it.
    `number` (of cycle 6): the slot that it has, or else that makes room for it; `vacant`: no other has to go. In cycle
    6 or later `mark` it, or `insert` (if the slot was found it only loses its mark), or `free` it. The latter may come
    a cycle late, with the `start` of the next lookup; which is given up then, and starts again.

    Parameters
    ----------
    slots : a power of two, 2 to 64
    kind_bits : of a class
    tag_bits : of a tag; 0 if the owner finds slots itself
    """

    def __init__(self, *, slots: int, kind_bits: int, tag_bits: int = 0):
        self.slots, self.kind_bits, self.tag_bits = slots, kind_bits, tag_bits
        number = exact_log2(slots)
        if not 2 <= slots <= 4 * LANES:
            raise ValueError(f"slots is {slots}; it must be a power of two from 2 to {4 * LANES}")
        find: dict = {"known": In(1), "slot": In(number)}
        if tag_bits:
            find = {"tag": In(tag_bits), "found": Out(1)}
        super().__init__(
            {
                "ready": Out(1),
                "start": In(1),
                "kind": In(kind_bits),
                "quota": In(range(slots + 1)),
                "strict": In(1),
                **find,
                "number": Out(number),
                "vacant": Out(1),
                "mark": In(1),
                "free": In(1),
                "insert": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = min(LANES, self.slots)
        rows = self.slots // lanes
        row_bits = exact_log2(rows)

        def wide(bit):
            return bit.replicate(lanes)

        def ram(name: str, shape, depth: int):
            m.submodules[name] = it = memory.Memory(
                shape=shape, depth=max(depth, 2), init=[], attrs={"ram_style": "distributed"}
            )
            return it

        clean = Clean(m, max(2 * rows, 1 << self.kind_bits))
        m.d.comb += self.ready.eq(clean.ready)

        # -- state
        who = ram("who", data.ArrayLayout(unsigned(self.kind_bits + self.tag_bits), lanes), rows)
        used_ram, marks_ram = ram("used", lanes, rows), ram("marks", lanes, 2 * rows)
        who_read, used_read, marks_read = (one.read_port(domain="comb") for one in (who, used_ram, marks_ram))
        hand, behind = Signal(row_bits), Signal(lanes, init=-1)  # its row; lanes at or behind it there
        half = Signal()  # of the marks
        occupied = Signal(range(self.slots + 1))
        everyone, vacant = Signal(), Signal()  # the class has not its share yet; so an unused slot is there for it
        m.d.comb += [vacant.eq(everyone & ~occupied[-1]), self.vacant.eq(vacant)]

        # -- read a row
        step = Signal(3, init=7)
        scan_row, row, chosen, number_row = (
            Signal(row_bits, name=name) for name in ("scan_row", "row", "chosen", "at")
        )
        with m.If(self.start):
            m.d.sync += step.eq(1)
        with m.Elif(step != 7):
            m.d.sync += step.eq(step + 1)
        m.d.comb += [
            scan_row.eq(hand + Mux(self.start, 0, step[:2])),  # the number of rows is a power of two, at most four
            row.eq(Mux(~self.start & (step >= 5), chosen, scan_row)),
            who_read.addr.eq(scan_row),
            used_read.addr.eq(row),
            marks_read.addr.eq(Cat(row, half)),
        ]
        same, used, marked = (Signal(lanes, name=name) for name in ("same", "used", "marked"))
        taken = Mux(vacant, used, marked)  # may not go at once
        here = Signal(row_bits)
        entries = [who_read.data[n] for n in range(lanes)]
        own = Cat(equal(m, one[: self.kind_bits], self.kind) for one in entries) & used_read.data
        m.d.sync += [
            used.eq(used_read.data),
            marked.eq(marks_read.data),
            here.eq(row),
        ]

        # -- has the class its share
        replace = Signal()
        self._count(m, ram, clean, step, occupied[-1], vacant, everyone, replace)

        # -- look at it: the first row with one that may go at once, or else with a candidate
        first, scan = Signal(), Signal()
        m.d.sync += first.eq(self.start)
        m.d.comb += scan.eq(first if rows == 1 else (step != 0) & (step <= rows))

        def prefer(within, name: str) -> tuple:
            """Are there any that may go at once, any candidates; and those that may, or else the candidates."""
            candidates, some = Signal(lanes, name=f"{name}_candidates"), Signal(name=f"{name}_some")
            m.d.comb += [candidates.eq((same | wide(everyone)) & within), some.eq((candidates & ~taken).any())]
            return some, candidates.any(), candidates & ~(taken & wide(some))

        best, best_same, best_row, best_first = Signal(lanes), Signal(lanes), Signal(row_bits), Signal()
        lower, hand_same = Signal(lanes), Signal(lanes)  # of the hand's row, in front of the hand: these come last
        found_1, found_0, lower_1 = Signal(), Signal(), Signal()
        here_1, here_0, value = prefer(behind | wide(~first), "here")
        with m.If(scan):
            with m.If(first | (~found_1 & (here_1 | ~found_0))):
                m.d.sync += [best.eq(value), best_same.eq(same), best_row.eq(here), best_first.eq(first)]
            m.d.sync += [found_1.eq(here_1 | (~first & found_1)), found_0.eq(here_0 | (~first & found_0))]
            with m.If(first):
                some, _, value = prefer(~behind, "lower")
                m.d.sync += [lower.eq(value), hand_same.eq(same), lower_1.eq(some)]

        # -- who is looked for
        found, hot_found, row_found = Signal(), Signal(lanes), Signal(row_bits)
        if self.tag_bits:
            match = Signal(lanes)
            m.d.comb += self.found.eq(found)
            m.d.sync += match.eq(Cat(equal(m, one[self.kind_bits :], self.tag) for one in entries) & used_read.data)
            with m.If(self.start):
                m.d.sync += found.eq(0)
            with m.Elif(scan & match.any()):
                m.d.sync += [found.eq(1), hot_found.eq(match), row_found.eq(here)]
        else:
            lane_bits = exact_log2(lanes)
            m.d.comb += [
                found.eq(self.known),
                hot_found.eq(1 << self.slot[:lane_bits]),
                row_found.eq(self.slot[lane_bits:]),
            ]

        # -- the slot
        use_lower = Signal()
        hot, reached, vector = Signal(lanes), Signal(lanes), Signal(lanes)
        m.d.comb += [
            use_lower.eq(~found_1 & (lower_1 | ~found_0)),
            vector.eq(Mux(use_lower, lower, best)),
            chosen.eq(Mux(found, row_found, Mux(use_lower, hand, best_row))),
        ]
        upto, lowest = first_of(vector)
        with m.If(self.start):
            m.d.sync += [hot.eq(0), reached.eq(-1)]
        with m.Elif(step == 5):
            m.d.sync += [hot.eq(Mux(found, hot_found, lowest)), reached.eq(upto | wide(found)), number_row.eq(chosen)]
        m.d.comb += self.number.eq(Cat(encode(hot), number_row))
        # cycle 5: of the hand's row again; from 6 on: of the victim's
        with m.If(~self.start & (step == 4)):
            m.d.sync += same.eq(hand_same)
        with m.Elif(~self.start & (step == 5)):
            m.d.sync += same.eq(Mux(use_lower, hand_same, best_same))
        with m.Elif(self.start | (step < 4)):
            m.d.sync += same.eq(own)

        # -- marks: who is in front of the victim loses his; the victim's row is written again in cycle 6
        every, both, either = Signal(), Signal(), Signal()  # these, of those not reached and those behind the hand
        with m.If(step >= 6):
            m.d.comb += [every.eq(~found_1 & ~lower_1 & ~found), both.eq(found_1 & best_first), either.eq(~found_1)]
        with m.Elif(step == 5):
            m.d.comb += [every.eq(~found_1 & ~lower_1), either.eq(1)]
        with m.Else():
            m.d.comb += every.eq(~found_1)
        form = Signal(2)
        m.d.comb += form.eq(Mux(found & (step >= 6), 0, Mux(every, 3, Cat(both, either & ~both))))
        front = Signal(lanes)  # nobody is reached yet in cycles 1 to 5
        with m.Switch(form):
            with m.Case(0):
                m.d.comb += front.eq(~reached)
            with m.Case(1):
                m.d.comb += front.eq(~reached & behind)
            with m.Case(2):
                m.d.comb += front.eq(~reached | behind)
            with m.Case(3):
                m.d.comb += front.eq(-1)
        m.d.comb += replace.eq(self.insert & ~found)
        known = found & (step >= 6)
        clean.write(
            m,
            marks_ram.write_port(),
            (scan & ~first) | (step == 5) | ((step == 6) & ~found) | self.mark | self.free | (self.insert & found),
            Cat(here, half ^ ~known),
            (marked & ~((same | wide(everyone)) & front) & ~hot) | (hot & wide(self.mark & ~self.free)),
        )

        # -- what an insertion leaves
        clean.write(m, used_ram.write_port(), self.free | replace, number_row, (used & ~hot) | (hot & wide(replace)))
        write = who.write_port(granularity=1)
        new = Cat(self.kind, self.tag) if self.tag_bits else self.kind
        m.d.comb += [
            write.en.eq(hot & wide(replace)),
            write.addr.eq(number_row),
            *(write.data[n].eq(new) for n in range(lanes)),
        ]
        with m.If(replace):
            m.d.sync += [
                behind.eq((reached & ~hot) | wide(hot[-1])),
                hand.eq(number_row + hot[-1]),
                half.eq(half ^ ~vacant),
            ]
        m.d.sync += occupied.eq(occupied + (replace & vacant) - self.free)
        return m

    def _count(self, m: Module, ram, clean: Clean, step, full, vacant, everyone, replace) -> None:
        """Slots of each class. The old one's class has one less from the next lookup's second cycle on.

        Whether a class has its share lies beside its number, so that it is known as soon as the row is read. So another
        `quota` counts for a class from its next insertion on.
        """
        row = data.StructLayout({"count": range(self.slots + 1), "full": 1, "over": 1})  # >= quota, > quota
        counts, kinds = ram("counts", row, 1 << self.kind_bits), ram("kinds", self.kind_bits, self.slots)
        read, kinds_read = counts.read_port(domain="comb"), kinds.read_port(domain="comb")
        less, whose, count = Signal(), Signal(self.kind_bits), Signal(range(self.slots + 1))
        settle, settled = Signal(), Signal()  # in cycles 2 and 3, if the lookup is still the same
        m.d.comb += [read.addr.eq(Mux(settle & ~self.start, whose, self.kind)), kinds_read.addr.eq(self.number)]
        m.d.sync += [
            settle.eq(~self.start & (step == 1)),
            settled.eq(~self.start & settle),
            count.eq(read.data.count),
        ]
        with m.If(self.start):
            has_share = Mux(less & (whose == self.kind), read.data.over, read.data.full)
            m.d.sync += everyone.eq(~(has_share & (self.strict | full)))
        with m.If(settled):
            m.d.sync += less.eq(0)
        with m.If((replace & ~vacant) | self.free):
            m.d.sync += [less.eq(1), whose.eq(kinds_read.data)]
        new, left = Signal(row), self.quota - count
        m.d.comb += [
            new.count.eq(count + Mux(settled, -1, 1)),
            new.full.eq(Mux(settled, left < 0, left < 2)),
            new.over.eq(Mux(settled, left < -1, left < 1)),
        ]
        clean.write(m, counts.write_port(), replace | (settled & less), Mux(settled, whose, self.kind), new)
        write = kinds.write_port()
        m.d.comb += [write.en.eq(replace), write.addr.eq(self.number), write.data.eq(self.kind)]
