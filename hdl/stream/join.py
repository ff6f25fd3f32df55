"""Joining two parts of a packet whose beats are already in their final place."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.beat import part_beat
from hdl.stream.small_fifo import SmallFifo


class Join(wiring.Component):
    """Put one part of a packet behind another, byte-tight.

    ::

        first    f0 f1 f2 f3 │ f4 .. .. ..            last, more, join
        second                 .. s0 s1 s2 │ s3 s4    bytes outside a part are zero
        o        f0 f1 f2 f3 │ f4 s0 s1 s2 │ s3 s4

    Streams `first`, `second` and `o` of `part_beat(width)`. A packet is one part of `first` and, where that ends with
    `more`, one of `second`, whose `more`, `join` and `bytes` are then the packet's. A packet whose last beat is the
    last of both parts takes one from each in the same cycle.

    Latency: 4 cycles. Throughput: one beat a cycle, no bubble between parts or packets. Back-pressure: stalls both
    inputs, never drops.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    always : every first part ends with `more`. Its beats then wait for the second part, so that a packet, once begun,
        does not stop between its parts when the second comes later than the first
    """

    def __init__(self, width: int, *, always: bool = False):
        self.width, self.always = width, always
        beat = stream.Signature(part_beat(width))
        super().__init__({"first": In(beat), "second": In(beat), "o": Out(beat)})

    def elaborate(self, platform):
        m = Module()
        shape = part_beat(self.width)
        m.submodules.fifo = fifo = SmallFifo(shape=shape)
        first, second = self.first.p, self.second.p

        inside = Signal()  # in the second part
        shared = Signal()  # the first part's last beat waits for the second's first
        use_first = Signal()
        use_second = Signal()
        go = Signal()
        alone = Signal()  # the first part's beat may go without the second's
        m.d.comb += [
            shared.eq(first.last & first.more & first.join),
            alone.eq(0 if self.always else ~shared),
            self.first.ready.eq(fifo.room & ~inside & (alone | self.second.valid)),
            self.second.ready.eq(fifo.room & (inside | (self.first.valid & shared))),
            use_first.eq(~inside),
            use_second.eq(inside | shared),
            go.eq(fifo.room & Mux(inside, self.second.valid, self.first.valid & (alone | self.second.valid))),
            fifo.reserve.eq(go),
        ]
        with m.If(go):
            m.d.sync += inside.eq(Mux(use_second, ~second.last, first.last & first.more))

        beat = Signal(shape, reset_less=True)
        m.d.sync += [
            fifo.write.eq(go),
            beat.data.eq(
                (first.data & use_first.replicate(8 * self.width))
                | (second.data & use_second.replicate(8 * self.width))
            ),
            beat.last.eq(Mux(use_second, second.last, first.last & ~first.more)),
            beat.more.eq(second.more & use_second),
            beat.join.eq(second.join & use_second),
            beat.bytes.eq(Mux(use_second, second.bytes, first.bytes)),
        ]
        m.d.comb += fifo.i.eq(beat)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m
