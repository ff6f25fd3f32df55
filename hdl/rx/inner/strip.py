"""Take the outer headers off: a packet's beats become its inner frame's, aligned to byte 0."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.rx.layouts import LENGTH_BITS, rx_beat
from hdl.stream.align import above, lane_bits
from hdl.stream.beat import delayed

UNIT = 2  # bytes: all headers are whole 16-bit words
SELECT = 2  # bits of a frame's place in its row that one stage looks at
UNKNOWN = (1 << 17) - 1  # length of a bare frame whose last byte has not come yet


def inner_beat(width: int) -> data.StructLayout:
    """A beat of the inner frame, aligned to its byte 0."""
    return data.StructLayout(
        {
            "data": 8 * width,  # zero behind the packet's end
            "first": 1,
            "last": 1,
            "void": 1,  # on `last`: it was no frame; what follows is the packet's
            "length": 17,  # of the frame: as the outer header says; bare: UNKNOWN, on `last` as many as came
            "size": LENGTH_BITS,  # on `last`: bytes that came
        }
    )


class Strip(wiring.Component):
    """The inner frame out of a packet's beats.

    ::

        i        │ o o o o │ o o i0 i0 │ i1 i1 i1 i1 │ i2 . . . │ the next packet's        switch, lane = 2 in row 1
        o                  │ o o o o   │ i0 i0 i1 i1 │ i1 i1 i2 . │                        one row later: out of both
                             void        first         last

    A packet is a bare frame from its first row on, until a row with `switch` comes: then what was given of it ends with
    a `void` beat, and the frame begins anew, with `first`. Every packet gives exactly one frame with a `last` that is
    not void; it has one beat at least, even where no byte is left for it.

    Beat j of a frame leaves when row j + 1 behind its beginning comes, or in the cycle behind the packet's last row.
    The first row of a packet sends nothing off, so the two never meet: there is nothing to wait for.

    Ports: `i_valid`, `i` (`rx_beat`); `o_valid`, `o` (`inner_beat`). Beats may have gaps. No ready.
    Latency: `latency` cycles from a packet's last beat to its frame's, or one less.
    Throughput: one beat a cycle.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.stages = -(-lane_bits(width, UNIT) // SELECT)
        self.latency = self.stages + 2
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(rx_beat(width)),
                "o_valid": Out(1),
                "o": Out(inner_beat(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i, width, lanes = self.i, self.width, self.width // UNIT
        bits, byte_bits = lane_bits(width, UNIT), exact_log2(width)

        # -- of the frame that the last row belonged to: its beats are those that leave
        at = Signal(bits)  # where it begins in its first row
        length = Signal(17)
        bare = Signal()
        opening = Signal()  # none of its beats has left
        count = Signal(LENGTH_BITS - byte_bits)  # beats that have left
        flush = Signal()  # its last row has come, and has bytes that no beat has taken

        begins = Signal()
        at_now = Signal(bits)
        left = Signal(signed(byte_bits + 2))  # bytes of this row, if it is the last, behind the frame's lane
        more = Signal()
        m.d.comb += [
            begins.eq(i.first | i.switch),
            at_now.eq(Mux(i.switch, i.lane[1 : 1 + bits], Mux(i.first, 0, at))),
            left.eq(i.bytes - Cat(Const(0, 1), at_now)),
            more.eq(left > 0),
        ]
        give, void, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            give.eq((self.i_valid & ~i.first) | flush),
            void.eq(self.i_valid & ~i.first & i.switch),
            ends.eq(flush | void | (self.i_valid & ~i.first & i.last & ~more)),
        ]
        m.d.sync += flush.eq(self.i_valid & i.last & (begins | more))
        with m.If(self.i_valid):
            m.d.sync += at.eq(at_now)
            with m.If(begins):
                m.d.sync += [length.eq(i.length), bare.eq(~i.switch)]
        with m.If(self.i_valid & begins):
            m.d.sync += [opening.eq(1), count.eq(0)]
        with m.Elif(give):
            m.d.sync += [opening.eq(0), count.eq(count + 1)]

        # -- count the bytes of the frame that leaves
        def later(value, cycles: int, name: str):
            return delayed(m, value, cycles, name=name)

        flush_1, at_1, bare_1, ends_1 = (later(v, 1, n) for v, n in ((flush, "flush"), (at, "at"), (bare, "bare"),
                                                                      (ends, "ends")))  # fmt: skip
        left_1 = later(left, 1, "left")
        tail = Mux(flush, Mux(left_1 < 0, 0, left_1), left + width)[: byte_bits + 1]
        tail_1, count_1 = later(tail, 1, "tail"), later(count, 1, "count")
        size = Cat(tail_1[:byte_bits], (count_1 + tail_1[byte_bits])[: len(count)])
        promised = Mux(bare_1, Mux(ends_1, size, UNKNOWN), later(length, 1, "length"))

        # -- each beat out of the last row and this one
        row, prev = Signal(8 * width, reset_less=True), Signal(8 * width, reset_less=True)
        came = Signal()
        m.d.sync += [row.eq(i.data), came.eq(self.i_valid)]
        with m.If(came):
            m.d.sync += prev.eq(row)
        o, window, amount, leaves, wait = self.o, Cat(prev, row), at_1, give, self.stages
        for stage in reversed(range(wait)):
            low = SELECT * stage
            kept = 8 * UNIT * (lanes + (1 << low) - 1)  # what the stages behind this one may choose from
            chosen = Signal(kept, name=f"chosen_{stage}")
            with m.Switch(amount[low:]):
                for turn in range(1 << (len(amount) - low)):
                    with m.Case(turn):
                        m.d.comb += chosen.eq(window[8 * UNIT * turn << low :])
            if stage:
                window, amount = later(chosen, 1, f"window_{stage}"), later(amount[:low], 1, f"amount_{stage}")
        flushed, at_2 = later(flush_1, wait - 1, "flushed"), later(at_1, wait - 1, "at_again")
        for lane in range(lanes):
            empty = flushed & above(at_2, lanes - 1 - lane)  # this row is another packet's
            m.d.sync += o.data[16 * lane : 16 * lane + 16].eq(Mux(empty, 0, chosen[16 * lane : 16 * lane + 16]))
        for cycle in range(wait):
            leaves_next = Signal(name=f"leaves_{cycle}")
            m.d.sync += leaves_next.eq(leaves)
            leaves = leaves_next
        m.d.sync += [
            self.o_valid.eq(leaves),
            o.first.eq(later(opening, wait, "opening")),
            o.last.eq(later(ends_1, wait - 1, "last")),
            o.void.eq(later(void, wait, "void")),
            o.length.eq(later(promised, wait - 1, "promised")),
            o.size.eq(later(size, wait - 1, "size")),
        ]
        return m
