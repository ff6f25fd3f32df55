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
                  │ lane 0 │ lane 1 │ ... │  row 1: read a cycle later, and only where the list is as long

    Ports: `slot`, `row` (of part 2; a row in each cycle); `length` of the list (of part 4); `start`, `end` of the
    fragment and `total`, the frame's length, which stand still; `fresh` (of part 6): the frame is new, its one hole is
    the whole frame; `collect`: part 6 looks at a row; `clear`: forget those collected.
    Of part 6, when the list's last row is there: `inside` (the fragment lies in a hole), `touches` (some of its bytes
    are missing), `splits` (it leaves two holes), `closes` (nothing is missing any more), `full` (as many holes as there
    can be), `left_over` (the list's length behind it). `write`: take it, in the list of `write_slot`.

    Parameters
    ----------
    slots : lists
    most : holes in a list
    bits : of a byte's number
    loop : the registers between the parts
    """

    def __init__(self, *, slots: int, most: int, bits: int, loop: Loop):
        if most % loop.rows:
            raise ValueError(f"{most} holes do not fill {loop.rows} rows")
        self.slots, self.bits, self.loop = slots, bits, loop
        self.rows, self.lanes = loop.rows, most // loop.rows
        self.place = place_layout(self.rows, self.lanes)
        self.hole = data.StructLayout({"start": bits, "end": bits})
        self.listed = [Signal(self.hole, name=f"hole_{lane}") for lane in range(self.lanes)]  # the row of part 4
        super().__init__(
            {
                "clear": In(1),
                "slot": In(range(slots)),
                "row": In(range(self.rows)),
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
                "full": Out(1),
                "left_over": Out(self.place),
                "write": In(1),
                "write_slot": In(range(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, lanes, joint = self.rows, self.lanes, self.loop.joint

        # parts 2 and 3: a row
        rams = [
            self.loop.memory(m, f"lane_{lane}", self.hole, self.slots * (1 << (rows - 1).bit_length()))
            for lane in range(lanes)
        ]
        row_bits = (rows - 1).bit_length()
        address = Cat(self.row[:row_bits], self.slot)
        holes = self.listed
        m.d.comb += [holes[n].eq(self.loop.read(m, ram, address, f"row_of_{n}")) for n, ram in enumerate(rams)]
        row = joint(m, 3, joint(m, 2, self.row, "row_2"), "row_3")

        # part 4: each lane by itself
        length = self.length
        start, end = self.start, self.end
        inside, touched, left, right, last = [], [], [], [], []
        for lane, hole in enumerate(holes):
            here = (row < length.row) | ((row == length.row) & (lane < length.lane))
            inside.append(here & (hole.start <= start) & (end <= hole.end))
            touched.append(here & (hole.start < end) & (start < hole.end))
            left.append(hole.start != start)
            right.append(hole.end != end)
            # the list's last entry, which is in the last row that is read
            last.append(length.lane == lane + 1 if lane + 1 < lanes else length.lane == 0)

        def joint_4(bits, name: str):
            return joint(m, 4, Cat(bits), name)

        inside, touched = joint_4(inside, "inside"), joint_4(touched, "touched")
        left, right, last = joint_4(left, "left"), joint_4(right, "right"), joint_4(last, "last")
        held = [joint(m, 4, hole.as_value(), f"held_{lane}") for lane, hole in enumerate(holes)]
        row = joint(m, 4, row, "row_4")

        begins_late, ends_early = joint(m, 4, start != 0, "begins_late"), joint(m, 4, end != self.total, "ends_early")

        # part 5: one of them
        found = data.StructLayout({"hole": self.hole, "place": self.place, "left": 1, "right": 1})
        one = Signal(found)
        m.d.comb += [
            one.hole.eq(choose((inside[lane], held[lane]) for lane in range(lanes))),
            one.left.eq((inside & left).any()),
            one.right.eq((inside & right).any()),
            one.place.row.eq(row),
            one.place.lane.eq(any_of(inside[lane].replicate(len(one.place.lane)) & lane for lane in range(lanes))),
        ]
        last_hole = choose((last[lane], held[lane]) for lane in range(lanes))
        one = joint(m, 5, one, "one")
        hit = joint(m, 5, inside.any(), "hit")
        touches = joint(m, 5, touched.any(), "touches")
        last_hole = self.hole(joint(m, 5, last_hole, "last_hole"))
        if rows > 1:  # and those of the rows before
            hit_before, touches_before, before = Signal(), Signal(), Signal(found, reset_less=True)
            with m.If(self.clear):
                m.d.sync += [hit_before.eq(0), touches_before.eq(0)]
            with m.Elif(self.collect):
                m.d.sync += [hit_before.eq(hit_before | hit), touches_before.eq(touches_before | touches)]
                with m.If(hit):
                    m.d.sync += before.eq(one)
            one = found(Mux(hit_before, before, one))
            hit, touches = hit | hit_before, touches | touches_before

        begins_late, ends_early = joint(m, 5, begins_late, "late"), joint(m, 5, ends_early, "early")
        longer, shorter = Signal(self.place), Signal(self.place)
        m.d.comb += [
            longer.lane.eq(Mux(length.lane == lanes - 1, 0, length.lane + 1)),
            longer.row.eq(length.row + (length.lane == lanes - 1)),
            shorter.lane.eq(Mux(length.lane == 0, lanes - 1, length.lane - 1)),
            shorter.row.eq(length.row - (length.lane == 0)),
        ]
        longer, shorter = joint(m, 5, longer, "longer"), joint(m, 5, shorter, "shorter")
        alone = joint(m, 5, (length.row == 0) & (length.lane == 1), "alone")

        # part 6
        hole, place, now = Signal(self.hole), Signal(self.place), Signal(self.place)
        is_left, is_right = Signal(), Signal()
        m.d.comb += [
            hole.start.eq(Mux(self.fresh, 0, one.hole.start)),
            hole.end.eq(Mux(self.fresh, self.total, one.hole.end)),
            is_left.eq(Mux(self.fresh, begins_late, one.left)),
            is_right.eq(Mux(self.fresh, ends_early, one.right)),
            self.inside.eq(self.fresh | hit),
            self.touches.eq(touches),
            self.splits.eq(is_left & is_right),
            self.closes.eq(~is_left & ~is_right & (self.fresh | alone)),
            self.full.eq(~self.fresh & (length.row == rows)),
        ]
        with m.If(self.fresh):
            m.d.comb += now.eq(self._count(1))
        with m.Else():
            m.d.comb += [place.eq(one.place), now.eq(length)]
        with m.If(self.splits):
            m.d.comb += self.left_over.eq(longer)
            with m.If(self.fresh):
                m.d.comb += self.left_over.eq(self._count(2))
        with m.Elif(is_left | is_right):
            m.d.comb += self.left_over.eq(now)
        with m.Else():
            m.d.comb += self.left_over.eq(shorter)

        first, second = Signal(self.hole), Signal(self.hole)
        m.d.comb += [
            first.eq(last_hole),
            second.start.eq(end),
            second.end.eq(hole.end),
        ]
        with m.If(is_left):
            m.d.comb += [first.start.eq(hole.start), first.end.eq(start)]
        with m.Elif(is_right):
            m.d.comb += first.eq(second)
        self._write(m, rams, [(self.write, place, first), (self.write & self.splits, now, second)])
        return m

    def _count(self, holes: int):
        return self.place.const({"row": holes // self.lanes, "lane": holes % self.lanes})

    def _write(self, m: Module, rams, entries) -> None:
        """Into lanes of their own, or where the list has several rows, one after the other."""
        writes = []
        for number, (enable, place, hole) in enumerate(entries):
            one = (enable, place, hole, self.write_slot)
            for _ in range(self.loop.block_ram + (number if self.rows > 1 else 0)):
                late = Signal(), Signal(self.place), Signal(self.hole), Signal.like(self.write_slot)
                m.d.sync += [register.eq(value) for register, value in zip(late, one, strict=True)]
                one = late
            writes.append(one)
        (enable_1, place_1, hole_1, slot_1), (enable_2, place_2, hole_2, slot_2) = writes
        row_bits = (self.rows - 1).bit_length()
        for lane, ram in enumerate(rams):
            port = ram.write_port()
            first = enable_1 & (place_1.lane == lane)
            m.d.comb += [
                port.en.eq(first | (enable_2 & (place_2.lane == lane))),
                port.addr.eq(
                    Mux(first, Cat(place_1.row[:row_bits], slot_1), Cat(place_2.row[:row_bits], slot_2)),
                ),
                port.data.eq(Mux(first, hole_1, hole_2)),
            ]
