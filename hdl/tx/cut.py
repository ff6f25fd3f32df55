"""From a frame's plan to its pieces: one a cycle, from lengths alone."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.counters import DropReason
from hdl.stream.pipe import Pipe
from hdl.tx.layouts import CutPlan, Piece, Plan

STT_HEADER = 18
FIN_PSH = 0x0009
CWR = 0x0080


class Cutter(wiring.Component):
    """Counts off the pieces of a frame.

    ::

        plan    payload 3500, first 1400, rest 1400
        piece   │ 1400, first │ 1400 │ 700, last │ next frame ...     one a cycle
        cut     │ beats, low, high, keep │ ...                        for the summer, counted in beats

    The TCP flags are decided here as well: FIN and PSH on the last segment only, CWR on the first only unless AccECN
    (RFC 9768). A dropped frame is one piece that the summer throws away.

    Ports: stream `plan`; `go` (room for `latency` + 2 more pieces behind both outputs); `piece_valid`, `piece`;
    `cut_valid`, `cut`. Latency: `latency` cycles from plan to piece. Throughput: one piece a cycle, no gap between
    frames.

    Parameters
    ----------
    width : bytes a beat
    """

    latency = 5

    def __init__(self, *, width: int):
        self.width = width
        super().__init__(
            {
                "plan": In(stream.Signature(Plan)),
                "go": In(1),
                "piece_valid": Out(1),
                "piece": Out(Piece),
                "cut_valid": Out(1),
                "cut": Out(CutPlan),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = (self.width - 1).bit_length()

        active = Signal()
        plan = Signal(Plan)
        left = Signal(17)  # payload bytes not yet cut
        size = Signal(17)  # of this piece, if it is not the last
        covered = Signal(17)  # bytes not yet cut that the inner checksum covers
        two = Signal(18)  # this piece and one more: what is left beyond that is not the last piece
        first = Signal()
        last = Signal()
        lane = Signal(bits)
        offset = Signal(16)
        inner_id = Signal(16)
        sequence = Signal(32)
        advance = Signal(17)  # of the sequence number behind this piece
        uncovered = covered - size  # below 0: the piece reaches beyond what is covered

        new = self.plan.payload
        emit = active & self.go
        m.d.comb += self.plan.ready.eq(~active | (self.go & last))
        with m.If(self.plan.ready):
            m.d.sync += [
                active.eq(self.plan.valid),
                plan.eq(new),
                left.eq(new.payload),
                covered.eq(new.covered),
                size.eq(new.first),
                two.eq(new.first + new.rest),
                first.eq(1),
                last.eq(new.single),
                lane.eq(new.lane),
                offset.eq(Cat(Const(0, 1), new.kept_words) + STT_HEADER),
                inner_id.eq(new.id),
                sequence.eq(new.sequence),
                advance.eq(gate(new.segmented, new.first)),
            ]
        with m.Elif(emit):
            m.d.sync += [
                left.eq(left - size),
                covered.eq(gate(uncovered >= 0, uncovered[:17])),
                size.eq(plan.rest),
                two.eq(Cat(Const(0, 1), plan.rest)),
                first.eq(0),
                last.eq(left <= two),
                lane.eq(lane + size[:bits]),
                offset.eq(offset + size[:16]),
                inner_id.eq(inner_id + plan.segmented),
                sequence.eq(sequence + advance),
                advance.eq(gate(plan.segmented, plan.rest)),
            ]

        pipe = Pipe(
            m,
            emit,
            plan=plan,
            length=Mux(last, left, size),
            covered=covered,
            first=first,
            last=last,
            lane=lane,
            offset=Mux(first | ~plan.fragmented, 0, offset),
            id=inner_id,
            sequence=sequence,
        )
        pipe.step()
        pipe.put(
            end=pipe.length + pipe.lane,
            covered_end=pipe.covered + pipe.lane,
            trailer=pipe.covered < pipe.length,
            dropped=pipe.plan.reason != DropReason.NONE,
            empty=pipe.length == 0,
            clear=Cat(
                pipe.plan.segmented & ~pipe.last,
                pipe.plan.segmented & ~pipe.first & ~pipe.plan.accecn,
            ),
        )
        pipe.step()
        pipe.put(
            beats_less_one=(pipe.end - 1)[bits:],
            tail=pipe.end[:bits],
            covered_end=Mux(pipe.trailer, pipe.covered_end, pipe.end),
        )
        flags = pipe.plan.tcp_flags
        cleared = flags & ~(
            (pipe.clear[0].replicate(16) & FIN_PSH) | (pipe.clear[1].replicate(16) & CWR)
        )  # fmt: skip
        pipe.put(tcp_flags=cleared)
        pipe.step()
        keep = (pipe.tail != 0) & ~pipe.last
        pipe.put(
            keep=keep,
            high=Mux(pipe.tail == 0, self.width, pipe.tail),
            covered_beats=pipe.covered_end[bits:],
            covered_high=pipe.covered_end[:bits],
        )
        pipe.put(
            only=pipe.beats_less_one == 0,
            border=pipe.covered_end[bits:] == 0,
            summed=~pipe.empty & ~pipe.dropped,
            totalled=pipe.plan.whole_sum & pipe.first,
        )
        pipe.step()
        m.d.comb += [
            self.cut.only.eq(pipe.only),
            self.cut.border.eq(pipe.border),
            self.cut_valid.eq(pipe.valid & ~pipe.empty),
            self.cut.beats.eq(pipe.beats_less_one),
            self.cut.low.eq(pipe.lane),
            self.cut.high.eq(pipe.high),
            self.cut.covered_beats.eq(pipe.covered_beats),
            self.cut.covered_high.eq(pipe.covered_high),
            self.cut.keep.eq(pipe.keep),
            self.cut.discard.eq(pipe.dropped),
            self.cut.first.eq(pipe.first),
            self.cut.total.eq(pipe.plan.whole_sum & pipe.last),
        ]
        m.d.comb += [
            self.piece_valid.eq(pipe.valid),
            self.piece.tcp_flags.eq(pipe.tcp_flags),
            self.piece.length.eq(pipe.length),
            self.piece.empty.eq(pipe.empty),
            self.piece.summed.eq(pipe.summed),
            self.piece.totalled.eq(pipe.totalled),
            self.piece.first.eq(pipe.first),
            self.piece.last.eq(pipe.last),
            self.piece.id.eq(pipe.id),
            self.piece.sequence.eq(pipe.sequence),
            self.piece.offset.eq(pipe.offset),
            self.piece.keep.eq(pipe.keep),
            self.piece.lane.eq(pipe.lane),
        ]
        assert pipe.cycles + 1 == self.latency
        return m
