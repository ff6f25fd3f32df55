"""Two streams into one, and one into two, by turns."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class FairMerge(wiring.Component):
    """Whole packets of two streams into one stream, in turn where both have some.

    ::

        a   │ a0 a0 │       │ a1 a1 a1 │       `last` ends a packet; without it in the payload every entry does
        b   │ b0         │     b1 │
        o   │ a0 a0 │ b0 │ a1 a1 a1 │ b1 │

    Ports: streams `a`, `b` and `o`. Latency: none: what `o` gives has been taken from where it came. Throughput: one
    entry a cycle. Back-pressure: `o` holds both.

    Parameters
    ----------
    a, b : shapes of the two
    o : of the output, with fields of the same names that are at least as wide
    """

    def __init__(self, a, b, o):
        self.last = "last" in o.members
        super().__init__({"a": In(stream.Signature(a)), "b": In(stream.Signature(b)), "o": Out(stream.Signature(o))})

    def elaborate(self, platform):
        m = Module()
        a, b, o = self.a, self.b, self.o
        held, second, turn = Signal(), Signal(), Signal()  # a packet is under way, whose; whose turn it is
        choice = Signal()
        m.d.comb += [
            choice.eq(Mux(held, second, Mux(turn, b.valid, ~a.valid))),
            o.valid.eq(Mux(choice, b.valid, a.valid)),
            a.ready.eq(o.ready & ~choice),
            b.ready.eq(o.ready & choice),
            *(o.p[name].eq(Mux(choice, b.p[name], a.p[name])) for name in self.o.payload.shape().members),
        ]
        ends = o.ready & (o.p.last if self.last else 1)
        with m.If(o.valid):
            m.d.sync += [held.eq(~ends), second.eq(choice)]
            with m.If(ends):
                m.d.sync += turn.eq(~choice)
        return m


class FairSplit(wiring.Component):
    """Entries of one stream to whichever of two takes them, in turn where both would.

    Ports: streams `i`, `a` and `b`. Latency: none. Throughput: one entry a cycle. The takers' `ready` must not wait for
    `valid`.
    """

    def __init__(self, shape):
        super().__init__(
            {"i": In(stream.Signature(shape)), "a": Out(stream.Signature(shape)), "b": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform):
        m = Module()
        turn, second = Signal(), Signal()
        m.d.comb += [
            second.eq(self.b.ready & (turn | ~self.a.ready)),
            self.i.ready.eq(self.a.ready | self.b.ready),
            self.a.valid.eq(self.i.valid & self.a.ready & ~second),
            self.b.valid.eq(self.i.valid & second),
            self.a.payload.eq(self.i.payload),
            self.b.payload.eq(self.i.payload),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += turn.eq(~second)
        return m
