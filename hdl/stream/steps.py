"""Walking through the rows of a part: which row is read and which beat leaves, cycle by cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.align import lane_bits, place_layout, step_layout


def plan_layout(width: int, unit: int, *, rows: int, reads: int, user: int) -> data.StructLayout:
    """How to read one part of a packet out of `rows` rows of memory, at most `reads` of them."""
    lane = lane_bits(width, unit)
    return data.StructLayout(
        {
            "row": range(rows),  # the first row
            "count": range(reads),  # rows to read, less one
            "single": 1,  # one row (also where there is nothing to do)
            "double": 1,  # two rows
            "none": 1,  # read nothing, emit nothing; `single` and `prime` are set, `flush` is not
            "prime": 1,  # the first row alone makes no beat
            "flush": 1,  # a beat follows the last row
            "rotate": lane,  # how far bytes move up, in units
            "start": lane,  # unit of the first beat at which the part begins
            "tail": lane,  # last unit of the last beat
            "empty": 1,  # one beat of no bytes
            "more": 1,  # as of the part's last beat
            "join": 1,
            "release": 1,  # rows before `release_row` are free after the last read
            "release_row": 16,
            "user": user,  # passed on with every read
        }
    )


class Steps(wiring.Component):
    """Turn plans into one step a cycle: read a row, emit a beat, or both.

    ::

        plan (rotated up)     read r0 │ r1      │ r2      │ -          3 rows, 4 beats: the flush needs no row
                              emit o0 │ o1      │ o2      │ o3
        plan (rotated down)   read r0 │ r1      │ r2      │ (r0 of the next part, where it is primed too)
                              emit -  │ o0      │ o1      │ o2

    Ports: stream `plan`; `room` and `reserve` of the FIFO that the beats end in; and, registered, `step`, `row`,
    `opening` (a part's first read), `user` (of the part that is read), `release` with `release_row`.

    Latency: 1 cycle. Throughput: a part takes the larger of its rows and its beats, where a neighbour allows the
    overlap. Back-pressure: nothing happens without `room`.
    """

    def __init__(self, width: int, unit: int, *, rows: int, reads: int, user: int = 0):
        self.width, self.unit = width, unit
        self.plan_shape = plan_layout(width, unit, rows=rows, reads=reads, user=user)
        super().__init__(
            {
                "plan": In(stream.Signature(self.plan_shape)),
                "room": In(1),
                "reserve": Out(1),
                "step": Out(step_layout(width, unit)),
                "row": Out(range(rows)),
                "opening": Out(1),
                "user": Out(user),
                "release": Out(1),
                "release_row": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        plan, go = self.plan.p, self.room

        inside = Signal()  # behind the plan's first read
        final = Signal()  # inside: this read is the plan's last
        opened = Signal()  # a beat of the plan has been emitted
        left = Signal.like(plan.count)  # inside: reads that are left
        flush = Signal()  # the beat behind the last part's last read is due; only between plans
        held = Signal(place_layout(self.width, self.unit))  # that beat's place
        row = Signal.like(plan.row)

        last = Signal()
        free = Signal()  # the plan's next read may happen
        read = Signal()
        primes = Signal()
        emit = Signal()
        take = Signal()
        m.d.comb += [
            last.eq(Mux(inside, final, plan.single)),
            free.eq(go & self.plan.valid & ~(flush & ~plan.prime)),
            take.eq(free & last),
            read.eq(free & ~plan.none),
            primes.eq(plan.prime & ~inside),
            emit.eq(go & (flush | (self.plan.valid & ~plan.none & ~primes))),
            self.plan.ready.eq(take),
            self.reserve.eq(emit),
            row.eq(Mux(inside, self.row + 1, plan.row)),
        ]
        with m.If(go):
            m.d.sync += flush.eq(take & plan.flush)
        with m.If(free):
            m.d.sync += [
                inside.eq(~last),
                opened.eq(~last & ~primes),
                left.eq(Mux(inside, left - 1, plan.count)),
                final.eq(Mux(inside, left == 2, plan.double)),
                self.row.eq(row),
            ]
        with m.If(take):
            m.d.sync += [
                held.rotate.eq(plan.rotate),
                held.tail.eq(plan.tail),
                held.start.eq(plan.start),
                held.first.eq(primes),
                held.last.eq(1),
                held.more.eq(plan.more),
                held.join.eq(plan.join),
            ]

        step = self.step
        m.d.sync += [
            step.read.eq(read),
            step.rotate.eq(plan.rotate),
            step.emit.eq(emit),
            self.opening.eq(~inside),
            self.user.eq(plan.user),
            self.release.eq(take & plan.release),
            self.release_row.eq(plan.release_row),
        ]
        with m.If(flush):
            m.d.sync += step.place.eq(held)
        with m.Else():
            m.d.sync += [
                step.place.rotate.eq(plan.rotate),
                step.place.start.eq(plan.start),
                step.place.tail.eq(plan.tail),
                step.place.first.eq(~opened),
                step.place.last.eq(last & ~plan.flush),
                step.place.empty.eq(plan.empty),
                step.place.more.eq(plan.more),
                step.place.join.eq(plan.join),
            ]
        return m
