"""Payload beats on their way into the ring: what each piece of them sums to."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold, gate, plus
from hdl.stream.beat import swap16, words
from hdl.stream.pipe import Pipe
from hdl.tx.layouts import CutPlan, PieceSum, payload_beat


class Summer(wiring.Component):
    """Takes payload beats as they lie in the frame, sums each piece, and passes every beat on once.

    ::

        beats    │ . . p p │ p p p p │ p p q q │ q q t t │     p, q: pieces; t: trailer; .: header bytes
        steps     0 0 1 1   1 1 1 1   1 1 0 0               a beat that two pieces share is looked at twice,
                                      0 0 1 1   1 1 2 2     and written once

    Nothing is realigned: bytes outside the piece are masked, and a piece that begins at an odd byte has its sum's bytes
    exchanged at the end (RFC 1071).

    Ports: streams `cut` and `beat`; `go` (room for `latency` + 2 beats in the ring and as many sums); `write`, `data`
    to the ring; `sum_valid`, `sum` one a piece; `total_valid`, `total`: the covered sum of a whole frame (`cut.total`).
    A piece's last beat is written before its sum comes. Throughput: one step a cycle, no gap between pieces.

    Parameters
    ----------
    width : bytes a beat
    """

    def __init__(self, *, width: int):
        self.width = width
        self.latency = 7 + (width // 2 - 1).bit_length()
        super().__init__(
            {
                "cut": In(stream.Signature(CutPlan)),
                "beat": In(stream.Signature(payload_beat(width))),
                "go": In(1),
                "write": Out(1),
                "data": Out(8 * width),
                "sum_valid": Out(1),
                "sum": Out(PieceSum),
                "total_valid": Out(1),
                "total": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self.width
        cut, beat = self.cut.payload, self.beat.payload

        # -- steps: counters only
        begun = Signal()  # not the first step of this piece
        shown = Signal()  # this beat has been written
        step = Signal()
        beats_left = Signal(14)
        covered_left = Signal(14)
        beats_now = Mux(begun, beats_left, cut.beats)  # further beats behind this one
        covered_now = Mux(begun, covered_left, cut.covered_beats)
        last_next = Signal()  # compared a step early
        border_next = Signal()
        covered_done = Signal()
        last = Signal()
        border = Signal()
        m.d.comb += [
            step.eq(self.cut.valid & self.beat.valid & self.go),
            last.eq(Mux(begun, last_next, cut.only)),
            border.eq(Mux(begun, border_next, cut.border)),
            self.cut.ready.eq(step & last),
            self.beat.ready.eq(step & ~(last & cut.keep)),
        ]
        with m.If(step):
            m.d.sync += [
                begun.eq(~last),
                shown.eq(last & cut.keep),
                beats_left.eq(beats_now - 1),
                covered_left.eq(covered_now - 1),
                last_next.eq(beats_now == 1),
                border_next.eq(covered_now == 1),
                covered_done.eq(~last & (border | (begun & covered_done))),
            ]
        pipe = Pipe(
            m,
            step,
            data=beat.data,
            error=beat.error,
            write=step & ~shown & ~cut.discard,
            first=~begun,
            last=last,
            low=cut.low,
            high=cut.high,
            past=begun & covered_done,
            border=border,
            covered_high=cut.covered_high,
            discard=cut.discard,
            frame_first=cut.first,
            total=cut.total,
            odd=cut.low[0],
        )
        pipe.step()
        m.d.comb += [self.write.eq(pipe.write & pipe.valid), self.data.eq(pipe.data)]

        # -- masks: byte i counts if low <= i < high, and is covered if i < covered_high
        pipe.put(
            from_low=Cat(~pipe.first | (pipe.low <= i) for i in range(width)),
            to_high=Cat(~pipe.last | (pipe.high > i) for i in range(width)),
            cover=Cat(~pipe.past & (~pipe.border | (pipe.covered_high > i)) for i in range(width)),
        )
        pipe.step()
        inside = pipe.from_low & pipe.to_high
        pipe.put(
            covered=Cat(gate(inside[i] & pipe.cover[i], pipe.data[8 * i : 8 * i + 8]) for i in range(width)),
            trailer=Cat(gate(inside[i] & ~pipe.cover[i], pipe.data[8 * i : 8 * i + 8]) for i in range(width)),
        )
        pipe.step()

        # -- one adder level a stage, then the carries of a beat
        terms = {"covered": words(pipe.covered, width // 2), "trailer": words(pipe.trailer, width // 2)}
        while len(terms["covered"]) > 1:
            for name, values in terms.items():
                pipe.put(**{f"{name}_{i}": values[2 * i] + values[2 * i + 1] for i in range(len(values) // 2)})
            count = len(terms["covered"]) // 2
            pipe.step()
            terms = {name: [getattr(pipe, f"{name}_{i}") for i in range(count)] for name in terms}
        pipe.put(**{f"beat_{name}": (values[0][:16] + values[0][16:])[:17] for name, values in terms.items()})
        pipe.step()

        pipe.put(**{f"beat_{name}": fold(getattr(pipe, f"beat_{name}")) for name in terms})
        pipe.step()

        # -- accumulate: the carry of one step is added in the next
        totals = {}
        for name, term, restart in (
            ("covered", pipe.beat_covered, pipe.first),
            ("trailer", pipe.beat_trailer, pipe.first),
            ("whole", pipe.beat_covered, pipe.first & pipe.frame_first),
        ):
            kept = Signal(17, name=f"kept_{name}")
            with m.If(pipe.valid):
                m.d.sync += kept.eq(plus(gate(~restart, kept), term))
            totals[name] = kept
        failed = Signal()
        with m.If(pipe.valid):
            m.d.sync += failed.eq(pipe.error | (failed & ~pipe.first))
        pipe.step()
        pipe.put(failed=failed, **{name: fold(kept) for name, kept in totals.items()})
        pipe.step()
        assert pipe.cycles == self.latency
        m.d.comb += [
            self.sum_valid.eq(pipe.valid & pipe.last & ~pipe.discard),
            self.sum.covered.eq(Mux(pipe.odd, swap16(pipe.covered), pipe.covered)),
            self.sum.trailer.eq(Mux(pipe.odd, swap16(pipe.trailer), pipe.trailer)),
            self.sum.error.eq(pipe.failed),
            self.total_valid.eq(pipe.valid & pipe.last & pipe.total & ~pipe.discard),
            self.total.eq(pipe.whole),
        ]
        return m
