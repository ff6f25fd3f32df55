"""Make every frame as long as its descriptor says."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.beat import FrameMeta, host_beat


def frame_beat(width: int) -> data.StructLayout:
    """A beat of a frame within the card: `meta` holds on every beat, bytes beyond `meta.length` are zero."""
    return data.StructLayout({"data": 8 * width, "first": 1, "last": 1, "error": 1, "meta": FrameMeta})


class Guard(wiring.Component):
    """Takes frames from the host; whatever comes, max(1, ceil(length / width)) beats leave for each.

    ::

        i, length 10       │ b b b b │ b b b b │ b b b b, last │
        o                  │ b b b b │ b b b b │ b b 0 0, last │

        i too short        │ b b b b, last │
        o                  │ b b b b │ 0 0 0 0, error │ 0 0 0 0, error, last │

        i too long         │ b b b b │ b b b b │ b b b b │ b b b b │ b b b b, last │
        o                  │ b b b b │ b b b b │ b b 0 0, error, last │

    What follows plans from lengths alone, so a length that lies must not get past this point.

    Ports: stream `i`; `go` (room for `latency` + 2 more beats behind the output); `o_valid`, `o` (no ready).
    Latency: `latency` cycles. Throughput: one beat a cycle, no bubble between frames; a frame that is too short takes
    as long as one that is not. Back-pressure: takes and makes nothing while `go` is low; what it had taken leaves.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    latency = 4

    def __init__(self, *, width: int):
        self.width = width
        super().__init__(
            {
                "i": In(stream.Signature(host_beat(width))),
                "go": In(1),
                "o_valid": Out(1),
                "o": Out(frame_beat(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = (self.width - 1).bit_length()
        fill = Signal()  # the data ended early: zeros until the frame is as long as it says
        m.d.comb += self.i.ready.eq(self.go & ~fill)

        # -- one beat waits here, and with it how close its frame's end would be if it is a first beat
        taken = Signal()
        beat = Signal(host_beat(self.width), reset_less=True)
        single = Signal(reset_less=True)  # a frame of one beat
        double = Signal(reset_less=True)
        length = self.i.payload.meta.length
        few = ~length[bits + 2 :].any()
        even = ~length[:bits].any()
        full = length[bits : bits + 2]  # beats that the frame fills
        with m.If(~fill):
            m.d.sync += [
                taken.eq(self.i.valid & self.go),
                beat.eq(self.i.payload),
                single.eq(few & ((full == 0) | ((full == 1) & even))),
                double.eq(few & Mux(even, full == 2, full == 1)),
            ]

        # -- counts beats: the data is not looked at
        begun = Signal()  # the frame's first beat has left
        swallow = Signal()  # the frame is complete, its data is not
        left = Signal(length.shape().width - bits)  # beats that the rest of the frame fills
        tail = Signal(bits)  # bytes of its last beat; 0: all, or none of an empty frame
        final_next = Signal()
        use = taken & ~fill & ~swallow
        filling = fill & self.go
        emit = use | filling
        final = Mux(begun, final_next, single)
        with m.If(taken & ~fill):
            with m.If(swallow):
                m.d.sync += swallow.eq(~beat.last)
            with m.Else():
                m.d.sync += [swallow.eq(final & ~beat.last), fill.eq(~final & beat.last)]
        with m.If(filling & final_next):
            m.d.sync += fill.eq(0)

        ends_next = (left == 1) | ((left == 2) & ~tail.any())
        with m.If(emit):
            m.d.sync += [
                begun.eq(~final),
                left.eq(Mux(begun, left, beat.meta.length[bits:]) - 1),
                final_next.eq(Mux(begun, ends_next, double)),
            ]
            with m.If(~begun):
                m.d.sync += tail.eq(beat.meta.length[:bits])

        counted = Signal(frame_beat(self.width), reset_less=True)
        counted_valid = Signal()
        zeros = Signal(reset_less=True)
        m.d.sync += [
            counted_valid.eq(emit),
            zeros.eq(filling),
            counted.data.eq(beat.data),
            counted.first.eq(~begun),
            counted.last.eq(final),
            counted.error.eq(filling | (final & ~beat.last)),
        ]
        with m.If(use & ~begun):
            m.d.sync += counted.meta.eq(beat.meta)

        # -- zeros behind the end
        masked = Signal(frame_beat(self.width), reset_less=True)
        masked_valid = Signal()
        keep = Signal(self.width, reset_less=True)
        end = counted.meta.length[:bits]
        inside = Cat(end > i for i in range(self.width))
        whole = ~end.any() & counted.meta.length.any()
        m.d.sync += [
            masked_valid.eq(counted_valid),
            masked.eq(counted),
            keep.eq(Mux(zeros, 0, inside | (~counted.last | whole).replicate(self.width))),
            self.o_valid.eq(masked_valid),
            self.o.eq(masked),
        ]
        for i in range(self.width):
            byte = slice(8 * i, 8 * i + 8)
            m.d.sync += self.o.data[byte].eq(Mux(keep[i], masked.data[byte], 0))
        return m
