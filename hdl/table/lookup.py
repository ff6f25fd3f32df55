"""Records that wait while something is looked up for them."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream.small_fifo import SmallFifo


class Lookup(wiring.Component):
    """Start a lookup for each record, and put the answer beside it.

    ::

        i ─┬─ records ────────────────────────────────────────────┬─ o
           └─ start ── (pipeline of `latency`) ── done ── answers ┘

    A wide record goes round the pipeline, which carries only what it looks at.

    Ports: stream `i`; `start`: in this cycle a lookup begins for what `i` offers; `done`, `answer`: `latency` cycles
    later; stream `o` (`record`, `answer`); `hold`: no lookup begins.
    Latency: `latency` + 2 cycles. Throughput: one record every `pace` cycles. Back-pressure: `o` holds `i`; up to
    `depth` records wait.

    Parameters
    ----------
    record, answer : shapes
    pace : cycles from one start to the next at least
    latency : of the pipeline, cycles
    """

    def __init__(self, *, record, answer, pace: int, latency: int):
        self.record, self.answer_shape, self.pace = record, answer, pace
        under_way = (latency + 8) // pace + 3
        self.depth = max(16, 1 << (under_way - 1).bit_length())
        super().__init__(
            {
                "i": In(stream.Signature(record)),
                "hold": In(1),
                "start": Out(1),
                "done": In(1),
                "answer": In(answer),
                "o": Out(stream.Signature(data.StructLayout({"record": record, "answer": answer}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.records = records = SmallFifo(shape=self.record, depth=self.depth)
        m.submodules.answers = answers = SmallFifo(shape=self.answer_shape, depth=self.depth)
        started = Signal(max(self.pace - 1, 1))  # in one of the last cycles
        if self.pace > 1:
            m.d.sync += started.eq(Cat(self.start, started)[: self.pace - 1])
        m.d.comb += [
            self.i.ready.eq(answers.room & ~self.hold & ~started.any()),
            self.start.eq(self.i.valid & self.i.ready),
            records.reserve.eq(self.start),
            records.write.eq(self.start),
            records.i.eq(self.i.payload),
            answers.reserve.eq(self.start),
            answers.write.eq(self.done),
            answers.i.eq(self.answer),
            # the record is always there before its answer
            self.o.valid.eq(answers.o.valid),
            self.o.p.record.eq(records.o.payload),
            self.o.p.answer.eq(answers.o.payload),
            answers.o.ready.eq(self.o.ready),
            records.o.ready.eq(self.o.ready & answers.o.valid),
        ]
        return m
