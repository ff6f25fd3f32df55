"""Moving the bytes of a part to where they belong in the packet's beats."""

from amaranth import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.stream.beat import delayed, part_beat


def lane_bits(width: int, unit: int) -> int:
    """Bits of a lane number: a beat of `width` bytes has lanes of `unit` bytes."""
    if unit not in (1, 2):
        raise ValueError(f"unit is {unit} bytes; it must be 1 or 2")
    return exact_log2(width // unit)


def above(value: Value, bound: int) -> Value:
    """`value` > `bound`, spelled out in gates: a lookup of a few bits, where `>` becomes a carry chain."""
    result: Value = C(0)
    for bit in range(len(value)):
        result = (value[bit] & result) if bound >> bit & 1 else (value[bit] | result)
    return result


def thermometer(value: Value, count: int) -> Value:
    """Bit n of `count` is set where n < `value`."""
    return Cat(above(value, bound) for bound in range(count))


def place_layout(width: int, unit: int) -> data.StructLayout:
    """Where the bytes of an emitted beat come from; lanes of `unit` bytes."""
    lane = lane_bits(width, unit)
    return data.StructLayout(
        {
            "rotate": lane,  # lanes below are the previous row's, the others this row's
            "start": lane,  # on `first`: the lane at which the part begins
            "tail": lane,  # on `last`: its last lane
            "first": 1,
            "last": 1,
            "empty": 1,  # no bytes at all
            "more": 1,  # as of a part's last beat
            "join": 1,
        }
    )


def step_layout(width: int, unit: int) -> data.StructLayout:
    """One cycle of a realigner: a row may come in, a beat may leave."""
    return data.StructLayout(
        {
            "read": 1,
            "rotate": lane_bits(width, unit),  # of the row that comes in
            "emit": 1,
            "place": place_layout(width, unit),  # of the beat that leaves
        }
    )


def extent_layout(width: int, unit: int, reads: int) -> data.StructLayout:
    """What follows from a part's place in its rows and in its packet; see `hdl.stream.steps.plan_layout`."""
    lane = lane_bits(width, unit)
    return data.StructLayout(
        {
            "count": range(reads),
            "single": 1,
            "double": 1,
            "prime": 1,
            "flush": 1,
            "rotate": lane,
            "start": lane,
            "tail": lane,
        }
    )


class Extent(wiring.Component):
    """Plan the reads and beats of a part from lengths alone.

    ::

        rows    │ . . x x │ x x x x │ x . . . │     lo = 2, length = 7: 3 rows
        beats             │ . x x x │ x x x x │     start = 1: 2 beats, rotated down by 1: primed, no flush

    Ports: `lo`, `start` (lanes), `length` (lanes; 0: an empty part, one row read for nothing and one empty beat), `o`.

    Latency: 3 cycles. Throughput: one a cycle.

    Parameters
    ----------
    width : bytes a beat
    unit : bytes a lane (1 or 2)
    length : the longest part, in lanes
    """

    LATENCY = 3

    def __init__(self, width: int, unit: int, length: int):
        self.lane = lane_bits(width, unit)
        self.reads = ((length - 1 + (1 << self.lane) - 1) >> self.lane) + 1
        super().__init__(
            {
                "lo": In(self.lane),
                "start": In(self.lane),
                "length": In(range(length + 1)),
                "o": Out(extent_layout(width, unit, self.reads)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane = self.lane
        last = Signal(self.length.shape(), reset_less=True)
        empty = Signal(reset_less=True)
        prime = Signal(reset_less=True)
        rotate = Signal(lane, reset_less=True)
        m.d.sync += [
            last.eq(self.length - 1),
            empty.eq(self.length == 0),
            prime.eq(self.start < self.lo),
            rotate.eq(self.start - self.lo),
        ]
        lo, start = (delayed(m, value, 1) for value in (self.lo, self.start))

        source = Signal(len(last) + 1, reset_less=True)  # lane of the last byte, counted from the first row's lane 0
        target = Signal(len(last) + 1, reset_less=True)  # likewise from the first beat's
        m.d.sync += [source.eq(lo + last), target.eq(start + last)]
        empty, prime, rotate, start = (delayed(m, value, 1) for value in (empty, prime, rotate, start))

        rows = source[lane:]
        o = self.o
        m.d.sync += [
            o.count.eq(Mux(empty, 0, rows)),
            o.single.eq(empty | (rows == 0)),
            o.double.eq(~empty & (rows == 1)),
            o.prime.eq(~empty & prime),
            # rows and beats differ by at most one, so their lowest bits tell which there are more of
            o.flush.eq(~empty & (prime ^ source[lane] ^ target[lane])),
            o.rotate.eq(rotate),
            o.start.eq(start),
            o.tail.eq(target[:lane]),
        ]
        return m


class Rotate(wiring.Component):
    """Rotate a beat up by `amount` lanes: lane j of `o` is lane j - amount of `i`.

    Ports: `i`, `o`; `amount` comes with `i`.

    Latency: `latency` cycles, each stage takes `bits` bits of the amount. Throughput: one beat a cycle, no state.

    Parameters
    ----------
    width : bytes a beat
    unit : bytes a lane (1 or 2)
    bits : of the amount a stage (1 is smallest in 4-input LUTs, 2 in 6-input LUTs)
    """

    def __init__(self, width: int, unit: int, bits: int):
        self.width, self.unit, self.bits = width, unit, bits
        self.lane = lane_bits(width, unit)
        self.latency = -(-self.lane // bits)
        super().__init__({"i": In(8 * width), "amount": In(self.lane), "o": Out(8 * width)})

    def elaborate(self, platform):
        m = Module()
        value, amount = self.i, self.amount
        for at in range(0, self.lane, self.bits):
            select = amount[: min(self.bits, self.lane - at)]
            stage = Signal(8 * self.width, name=f"stage_{at}", reset_less=True)
            with m.Switch(select):
                for turn in range(1 << len(select)):
                    with m.Case(turn):
                        m.d.sync += stage.eq(value.rotate_left(8 * self.unit * (turn << at)))
            amount = delayed(m, amount[len(select) :], 1, name=f"amount_{at}")
            value = stage
        m.d.comb += self.o.eq(value)
        return m


class Realign(wiring.Component):
    """Put rows of a memory where their bytes belong in a packet's beats.

    ::

        step ──┬─ rotate ───────┐
               └─ place ─ masks ┼─────────────────┐
        data (2 cycles later) ─ rotate ─┬─ [prev] ─┴─ (prev & low) | (this & high) ──> write/o

    Ports: `step`; `data`, the row that `step` reads, 2 cycles after it; `write` and `o` (`part_beat(width)`; `bytes` is
    `width` on all but a part's last beat). Rows may come with pauses: the previous one is kept.

    Latency: `latency` cycles from `step`. Throughput: one step a cycle.

    Parameters
    ----------
    width : bytes a beat
    unit : bytes a lane: everything moves by multiples of it (1 or 2)
    """

    LEAD = 2  # cycles that `step` is ahead of its `data`

    def __init__(self, width: int, unit: int):
        self.width, self.unit = width, unit
        self.rotate = Rotate(width, unit, 1 if width <= 16 else 2)
        self.latency = self.LEAD + self.rotate.latency + 1
        super().__init__(
            {
                "step": In(step_layout(width, unit)),
                "data": In(8 * width),
                "write": Out(1),
                "o": Out(part_beat(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        unit, lanes = self.unit, self.width // self.unit
        m.submodules.rotate = rotate = self.rotate
        m.d.comb += [
            rotate.i.eq(self.data),
            rotate.amount.eq(delayed(m, self.step.rotate, self.LEAD, name="rotate")),
        ]

        # The place arrives as a few numbers and becomes masks in the last two cycles before the rotated row comes.
        # (A register with a reset at the end of a delay line keeps it out of the slow end of a shift-register LUT.)
        step = Signal(self.step.shape())
        m.d.sync += step.eq(delayed(m, self.step, rotate.latency - 1, name="step"))
        place = step.place
        low, after, before = (Signal(lanes, name=name, reset_less=True) for name in ("low", "after", "before"))
        size = Signal(range(self.width + 1), reset_less=True)
        m.d.sync += [
            low.eq(thermometer(place.rotate, lanes)),
            after.eq(~thermometer(place.start, lanes) | (~place.first).replicate(lanes)),
            before.eq(
                Cat(C(1), thermometer(place.tail, lanes - 1) | (~place.last).replicate(lanes - 1))
                & (~place.empty).replicate(lanes)
            ),
            size.eq(Mux(place.last, (place.tail + 1) * unit, self.width)),
        ]
        take_prev, take_this = (Signal(lanes, name=name, reset_less=True) for name in ("take_prev", "take_this"))
        m.d.sync += [take_prev.eq(low & after & before), take_this.eq(~low & after & before)]
        size = delayed(m, size, 1, name="size")
        step = delayed(m, step, 2, name="masked")

        prev = Signal(8 * self.width, reset_less=True)
        with m.If(step.read):
            m.d.sync += prev.eq(rotate.o)

        def spread(mask):
            return Cat(bit.replicate(8 * unit) for bit in mask)

        m.d.sync += [
            self.write.eq(step.emit),
            self.o.data.eq((prev & spread(take_prev)) | (rotate.o & spread(take_this))),
            self.o.last.eq(step.place.last),
            self.o.more.eq(step.place.more),
            self.o.join.eq(step.place.join),
            self.o.bytes.eq(size),
        ]
        return m
