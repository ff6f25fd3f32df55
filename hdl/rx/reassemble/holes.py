"""The bytes that are missing of each open frame."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.rx.reassemble.loop import Loop
from hdl.tx.choose import any_of, choose


def place_layout(rows: int, lanes: int) -> data.StructLayout:
    """A place in a list; as a length: the place behind the last entry."""
    return data.StructLayout({"row": range(rows + 1), "lane": range(max(lanes, 2))})


class Holes(wiring.Component):
    """The holes of every slot's frame, in no order, and what a fragment does to them.

    ::

                    start   end
        hole      ├───────────────┤          a fragment must lie in one hole with every byte; it leaves what is left
        fragment  ·   ├───────┤   ·          of it and what is right of it, one of the two, or nothing: then the
        holes     ├───┤       ├───┤          list's last entry takes the hole's place

        slot s    │ lane 0 │ lane 1 │ ... │  row 0
                  │ lane 0 │ lane 1 │ ... │  row 1: read a cycle later, and looked at where the list is as long

    Only what is decided must be known at the end of the loop. Where lists have several rows, what is written follows:
    what is left a cycle later, the second of two holes, or the list's last entry, yet another one later. By then the
    hole has been chosen; the same gates then choose the last entry.

    Ports: `slot`, `row` (of part 2; a row in each cycle); `length` of the list (of part 4); `start`, `end` of the
    fragment and `total`, the frame's length, which stand still; `fresh` (of part 6): the frame is new, its one hole is
    the whole frame; `collect`: there is a row behind joint 4; `clear`: forget those collected.
    Of part 6, when the list's last row is behind joint 4, or was: `inside` (the fragment lies in a hole), `touches`
    (some of its bytes are missing), `splits` (it leaves two holes), `closes` (nothing is missing any more), `full` (as
    many holes as there can be), `left_over` (the list's length behind it). Of a new frame `partial` says sooner that
    something will be missing. `write`: take it, in the list of `write_slot`.

    Parameters
    ----------
    slots : lists
    most : holes in a list
    bits : of a byte's number
    loop : the registers between the parts
    """

    def __init__(self, *, slots: int, most: int, bits: int, loop: Loop):
        self.slots, self.most, self.bits, self.loop = slots, most, bits, loop
        self.rows, self.lanes = loop.rows, -(-most // loop.rows)
        self.row_bits = (self.rows - 1).bit_length()
        self.place = place_layout(self.rows, self.lanes)
        self.hole = data.StructLayout({"start": bits, "end": bits})
        self.listed = [Signal(self.hole, name=f"hole_{lane}") for lane in range(self.lanes)]  # the row of part 4
        super().__init__(
            {
                "clear": In(1),
                "slot": In(range(slots)),
                "row": In(range(self.rows + 1)),
                "collect": In(1),
                "length": In(self.place),
                "start": In(bits),
                "end": In(bits),
                "total": In(bits),
                "fresh": In(1),
                "inside": Out(1),
                "touches": Out(1),
                "splits": Out(1),
                "closes": Out(1),
                "partial": Out(1),
                "full": Out(1),
                "left_over": Out(self.place),
                "write": In(1),
                "write_slot": In(range(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, lanes, joint = self.rows, self.lanes, self.loop.joint
        length, start, end = self.length, self.start, self.end

        # parts 2 and 3: a row
        rams = [
            self.loop.memory(m, f"lane_{lane}", self.hole, self.slots * (1 << self.row_bits)) for lane in range(lanes)
        ]
        address = Cat(self.row[: self.row_bits], self.slot)
        holes = self.listed
        m.d.comb += [holes[n].eq(self.loop.read(m, ram, address, f"row_of_{n}")) for n, ram in enumerate(rams)]
        row = joint(m, 3, joint(m, 2, self.row, "row_2"), "row_3")

        # part 4: each lane by itself
        inside, touched, left, right, last = [], [], [], [], []
        for lane, hole in enumerate(holes):
            here = (row < length.row) | ((row == length.row) & (lane < length.lane))
            before, behind = Signal(self.bits + 1, name=f"before_{lane}"), Signal(self.bits + 1, name=f"behind_{lane}")
            m.d.comb += [before.eq(start - hole.start), behind.eq(hole.end - end)]
            inside.append(here & ~before[-1] & ~behind[-1])
            touched.append(here & (hole.start < end) & (start < hole.end))
            left.append(before[:-1].any())
            right.append(behind[:-1].any())
            last.append(length.lane == lane + 1 if lane + 1 < lanes else length.lane == 0)

        def joint_4(bits, name: str):
            return joint(m, 4, Cat(bits), name)

        inside, touched = joint_4(inside, "inside"), joint_4(touched, "touched")
        left, right, last = joint_4(left, "left"), joint_4(right, "right"), joint_4(last, "last")
        late, early = joint_4(start != 0, "late_4"), joint_4(end != self.total, "early_4")
        late, early = joint(m, 5, late, "late"), joint(m, 5, early, "early")

        # behind joint 4: is it in one of them
        hit, touches, one_left, one_right = inside.any(), touched.any(), (inside & left).any(), (inside & right).any()
        if rows > 1:  # or in one of the rows before
            found, before = Signal(4), Signal(4)
            m.d.comb += found.eq(before | Cat(hit, touches, one_left, one_right))
            with m.If(self.clear):
                m.d.sync += before.eq(0)
            with m.Elif(self.collect):
                m.d.sync += before.eq(found)
            hit, touches, one_left, one_right = found

        longer, shorter = Signal(self.place), Signal(self.place)
        m.d.comb += [
            longer.lane.eq(Mux(length.lane == lanes - 1, 0, length.lane + 1)),
            longer.row.eq(length.row + (length.lane == lanes - 1)),
            shorter.lane.eq(Mux(length.lane == 0, lanes - 1, length.lane - 1)),
            shorter.row.eq(length.row - (length.lane == 0)),
        ]
        longer, shorter = joint(m, 5, longer, "longer"), joint(m, 5, shorter, "shorter")
        alone = joint(m, 5, length == self._count(1), "alone")
        full = joint(m, 5, length == self._count(self.most), "full_5")

        # part 6
        is_left, is_right = Signal(), Signal()
        # (kept together, these are a few gates; taken apart, many)
        now, up = Signal(self.place, attrs={"keep": 1}), Signal(self.place, attrs={"keep": 1})
        m.d.comb += [
            self.partial.eq(late | early),
            is_left.eq(Mux(self.fresh, late, one_left)),
            is_right.eq(Mux(self.fresh, early, one_right)),
            now.eq(Mux(self.fresh, self._count(1), length)),
            up.eq(Mux(self.fresh, self._count(2), longer)),
            self.inside.eq(self.fresh | hit),
            self.touches.eq(touches),
            self.splits.eq(is_left & is_right),
            self.closes.eq(~is_left & ~is_right & (self.fresh | alone)),
            self.full.eq(~self.fresh & full),
        ]
        with m.If(self.splits):
            m.d.comb += self.left_over.eq(up)
        with m.Elif(is_left | is_right):
            m.d.comb += self.left_over.eq(now)
        with m.Else():
            m.d.comb += self.left_over.eq(shorter)

        # what is written: in the hole's place, and if it is split, at the list's end
        place = Signal(self.place)  # of the hole
        m.d.comb += [
            place.row.eq(joint(m, 4, row, "row_4")),
            place.lane.eq(any_of(inside[lane].replicate(len(place.lane)) & lane for lane in range(lanes))),
        ]
        if rows == 1:
            held = [joint(m, 4, hole.as_value(), f"held_{lane}") for lane, hole in enumerate(holes)]
            one = self._chosen(m, inside, held), place, is_left, is_right
            self._write_at_once(m, rams, one, self._chosen(m, last, held), now)
            return m

        held = [Signal(2 * self.bits, name=f"held_{lane}", reset_less=True) for lane in range(lanes)]
        with m.If((row < length.row) | ((row == length.row) & (length.lane != 0))):  # the list's last row stays
            m.d.sync += [register.eq(hole.as_value()) for register, hole in zip(held, holes, strict=True)]
        self._write_in_turn(m, rams, inside, place, is_left, is_right, last, held, now)
        return m

    def _write_at_once(self, m: Module, rams, one, last_hole, now) -> None:
        """Both entries, in lanes of their own."""
        hole, place, is_left, is_right = one
        hole = self._or_whole(m, self.fresh, hole, self.total)
        first, second = Signal(self.hole), Signal(self.hole)
        m.d.comb += [
            first.eq(last_hole),
            second.start.eq(self.end),
            second.end.eq(hole.end),
        ]
        with m.If(is_left):
            m.d.comb += [first.start.eq(hole.start), first.end.eq(self.start)]
        with m.Elif(is_right):
            m.d.comb += first.eq(second)
        for lane, ram in enumerate(rams):
            is_first = Mux(self.fresh, lane == 0, place.lane == lane)
            port = ram.write_port()
            m.d.comb += [
                port.en.eq(self.write & (is_first | (self.splits & (now.lane == lane)))),
                port.addr.eq(self.write_slot),
                port.data.eq(Mux(is_first, first, second)),
            ]

    def _write_in_turn(self, m: Module, rams, inside, place, is_left, is_right, last, held, now) -> None:
        """One entry a cycle: what is left of the fragment or, alone, right of it; then the other, or the last hole."""
        values = {
            "fresh": self.fresh,
            "splits": self.splits,
            "start": self.start,
            "end": self.end,
            "total": self.total,
            "slot": self.write_slot,
            "last": last,
            "now": now.as_value(),
        }
        kept = {name: Signal(value.shape(), name=f"kept_{name}", reset_less=True) for name, value in values.items()}
        first, second = Signal(), Signal()  # it is the first entry's turn, the second one's
        keeps_start, keeps_end = Signal(), Signal()  # the entry begins, ends as the hole did
        closing = ~keeps_start & ~keeps_end
        m.d.sync += [first.eq(self.write), second.eq(first & (kept["splits"] | closing))]
        with m.If(self.write):
            m.d.sync += [kept[name].eq(value) for name, value in values.items()]
            m.d.sync += [keeps_start.eq(is_left), keeps_end.eq(is_right & ~is_left)]
        with m.Elif(first):
            m.d.sync += [keeps_start.eq(closing), keeps_end.eq(1)]

        select = Signal(self.lanes, attrs={"keep": 1})
        m.d.comb += select.eq(Mux(first, kept["last"], inside))
        chosen = self._chosen(m, select, held)
        hole, hole_place = Signal(self.hole, reset_less=True), Signal(self.place, reset_less=True)
        with m.If((self.collect & inside.any()) | (first & closing)):
            m.d.sync += hole.eq(chosen)
        with m.If(self.collect & inside.any()):
            m.d.sync += hole_place.eq(place)

        whole = self._or_whole(m, kept["fresh"], hole, kept["total"])
        entry, at = Signal(self.hole), Signal(self.place)
        m.d.comb += [
            entry.start.eq(Mux(keeps_start, whole.start, kept["end"])),
            entry.end.eq(Mux(keeps_end, whole.end, kept["start"])),
        ]
        with m.If(second & kept["splits"]):
            m.d.comb += at.eq(kept["now"])
        with m.Elif(~kept["fresh"]):
            m.d.comb += at.eq(hole_place)
        for lane, ram in enumerate(rams):
            port = ram.write_port()
            m.d.comb += [
                port.en.eq(((first & ~closing) | second) & (at.lane == lane)),
                port.addr.eq(Cat(at.row[: self.row_bits], kept["slot"])),
                port.data.eq(entry),
            ]

    def _chosen(self, m: Module, select, held):
        """The hole whose lane is selected."""
        hole = Signal(self.hole, attrs={"keep": 1})
        m.d.comb += hole.eq(choose((select[lane], held[lane]) for lane in range(self.lanes)))
        return hole

    def _or_whole(self, m: Module, fresh, hole, total):
        """A hole; that of a new frame is the whole frame."""
        one = Signal(self.hole)
        m.d.comb += [one.start.eq(Mux(fresh, 0, hole.start)), one.end.eq(Mux(fresh, total, hole.end))]
        return one

    def _count(self, holes: int):
        return self.place.const({"row": holes // self.lanes, "lane": holes % self.lanes})
