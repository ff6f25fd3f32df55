"""One queue for what both engines say of frames."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.rx.layouts import Completion
from hdl.stream.quick_fifo import QuickFifo, ThroughFifo


class Completions(wiring.Component):
    """Completions of both engines, in the order in which they come; STT's first, their frames are whole.

    ::

        stt ─────────────┬──> [ fifo ] ── o
        tcp ── [ wait ] ─┘

    Ports: `stt_valid`, `stt`; `tcp_valid`, `tcp`; `stt_go`, `tcp_go`: there is room for as many as that engine may
    still give; stream `o`. Latency: 1 cycle, TCP's 2. Throughput: one a cycle. Back-pressure: `stt_go`, `tcp_go`.

    Parameters
    ----------
    depth : completions that may wait
    stt_margin, tcp_margin : completions that may come after `stt_go`, `tcp_go` have fallen
    one_waits : TCP's come at least three cycles apart, and STT's in no more than two of three: a register is enough for
        the one that waits
    """

    def __init__(self, *, depth: int, stt_margin: int, tcp_margin: int, one_waits: bool):
        self.depth, self.stt_margin, self.tcp_margin, self.one_waits = depth, stt_margin, tcp_margin, one_waits
        super().__init__(
            {
                "stt_valid": In(1),
                "stt": In(Completion),
                "stt_go": Out(1),
                "tcp_valid": In(1),
                "tcp": In(Completion),
                "tcp_go": Out(1),
                "o": Out(stream.Signature(Completion)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        margin = self.stt_margin + self.tcp_margin
        m.submodules.fifo = fifo = ThroughFifo(shape=Completion, depth=self.depth, margin=margin)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        tcp, tcp_valid = Signal(Completion, reset_less=True), Signal()
        if self.one_waits:
            waits = Signal()
            m.d.comb += [tcp_valid.eq(waits), self.tcp_go.eq(fifo.space)]
            with m.If(self.tcp_valid):
                m.d.sync += [tcp.eq(self.tcp), waits.eq(1)]
            with m.Elif(~self.stt_valid):
                m.d.sync += waits.eq(0)
        else:
            m.submodules.wait = wait = QuickFifo(shape=Completion, depth=64, margin=self.tcp_margin)
            m.d.comb += [
                wait.write.eq(self.tcp_valid),
                wait.i.eq(self.tcp),
                wait.o.ready.eq(~self.stt_valid & fifo.space),
                tcp_valid.eq(wait.o.valid & fifo.space),
                tcp.eq(wait.o.p),
                self.tcp_go.eq(wait.space),
            ]
        m.d.comb += [
            self.stt_go.eq(fifo.space),
            fifo.write.eq(self.stt_valid | tcp_valid),
            fifo.i.eq(Mux(self.stt_valid, self.stt, tcp)),
        ]
        return m
