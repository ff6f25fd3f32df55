"""Where what the outer header says and what the inner one says come together."""

from amaranth import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.registers.receive import SLOW, RxReason
from hdl.rx.ecn import inner_tos
from hdl.rx.layouts import Destination, InnerFacts, OuterFacts, RxPacket, SttFacts, Termination
from hdl.stream.paced_fifo import PACE
from hdl.stream.paced_pipe import PacedPipe

INNER_PACE = {width: max(pace - 1, 1) for width, pace in PACE.items()}
"""Bytes a beat to cycles from one packet's inner facts to the next's at least: they come a cycle early, or not."""


class Meet(wiring.Component):
    """One packet's facts from both parsers and from the tables, in order.

    ::

        outer, termination, to ─┐          ┌─ packet    what is no STT fragment
        inner ──────────────────┴─ ECN ────┼─ facts     of an STT frame's first fragment, at once
                                           └─ (nothing) of another STT fragment: its chunks say all

    A packet's inner facts are the last that comes of it; what the others say waits for them. The reason is the first
    that holds of: the outer parser's own but GENEVE_CRITICAL, the tables', the parser's GENEVE_CRITICAL or the tables'
    GRE_FLAGS (no packet has both), RUNT, INNER_VLAN, ECN.

    Ports: `inner_valid`, `inner`, at least `INNER_PACE[width]` cycles apart; streams `outer`, `termination`, `to`,
    which must be valid then; `chunked`: this packet is an STT fragment; `packet_valid`, `packet`; `facts_valid`,
    `facts`.
    Latency: none to `facts`, `latency` cycles to `packet`. Throughput: as the facts come. No back-pressure.
    Source: RFC 6040, RFC 2983.

    Parameters
    ----------
    width : bytes a beat
    """

    latency = 3

    def __init__(self, *, width: int):
        self.width = width
        super().__init__(
            {
                "outer": In(stream.Signature(OuterFacts)),
                "termination": In(stream.Signature(Termination)),
                "to": In(stream.Signature(Destination)),
                "inner_valid": In(1),
                "inner": In(InnerFacts),
                "chunked": Out(1),
                "packet_valid": Out(1),
                "packet": Out(RxPacket),
                "facts_valid": Out(1),
                "facts": Out(SttFacts),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for known in (self.outer, self.termination, self.to):
            m.d.comb += known.ready.eq(self.inner_valid)
        outer, t, to, inner = self.outer.p, self.termination.p, self.to.p, self.inner

        # -- of a fragment, nothing has to be worked out
        facts = self.facts
        m.d.comb += [
            self.chunked.eq(outer.chunked),
            self.facts_valid.eq(self.inner_valid & outer.chunked & outer.zero),
            facts.reason.eq(t.reason),
            facts.vnet.eq(t.vnet),
            facts.entry.eq(t.entry),
            facts.to.eq(to),
            facts.uniform.eq(t.uniform),
            facts.stt.eq(outer.stt),
            facts.inner.eq(inner),
        ]

        # -- reasons that the inner frame gives, where the outer header gave none
        take = self.inner_valid & ~outer.chunked
        pipe = PacedPipe(m, take, pace=INNER_PACE[self.width], t=t, outer=outer, to=to, inner=inner)
        late = (outer.reason == RxReason.GENEVE_CRITICAL) & (t.reason != RxReason.NONE)
        pipe.put(reason=Mux((outer.reason != RxReason.NONE) & ~late, outer.reason, t.reason))
        pipe.step()
        tos, congested = inner_tos(pipe.inner.tos, pipe.outer.tos, pipe.t.uniform)
        tunnelled = pipe.outer.tunnelled
        through = tunnelled & pipe.inner.has_ip
        bits = exact_log2(self.width)
        pipe.put(
            tos=Mux(through, tos, pipe.inner.tos),
            runt=tunnelled & pipe.inner.runt,
            tag=pipe.t.nvgre & tunnelled & (pipe.inner.tags != 0),
            ecn=through & congested,
            whole=~tunnelled | (pipe.reason != RxReason.NONE),  # handed up as it came
            row=(pipe.outer.row + pipe.outer.start[bits:])[:16],
            outer_bytes=(pipe.outer.start - pipe.outer.l3)[:10],
            origin=pipe.outer.origin ^ pipe.t.entry,
        )
        pipe.step()
        reason = Mux(
            pipe.reason != RxReason.NONE,
            pipe.reason,
            Mux(pipe.runt, RxReason.RUNT, Mux(pipe.tag, RxReason.INNER_VLAN, Mux(pipe.ecn, RxReason.ECN, 0))),
        )
        inner = pipe.inner
        pipe.put(
            reason=reason[: len(pipe.t.reason)],
            row=Mux(pipe.whole, pipe.outer.row, pipe.row),
            lane=Mux(pipe.whole, 0, pipe.outer.start[:bits]),
            length=Mux(pipe.whole, pipe.outer.length, pipe.outer.inner_length),
            origin=Mux(pipe.outer.tunnelled, pipe.origin, 0),
            outer_bytes=Mux(pipe.outer.tunnelled, pipe.outer_bytes, 0),
            patch=pipe.tos != inner.tos,
        )
        pipe.step()
        assert pipe.cycles == self.latency

        packet = self.packet
        m.d.comb += [
            self.packet_valid.eq(pipe.valid),
            packet.reason.eq(pipe.reason),
            packet.slow.eq(pipe.reason.matches(*SLOW)),
            packet.row.eq(pipe.row),
            packet.lane.eq(pipe.lane),
            packet.length.eq(pipe.length),
            packet.release_row.eq(pipe.outer.end_row),
            packet.vnet.eq(pipe.t.vnet),
            packet.entry.eq(pipe.t.entry),
            packet.tunnelled.eq(pipe.outer.tunnelled),
            packet.origin.eq(pipe.origin),
            packet.options.eq(pipe.outer.options),
            packet.to.eq(pipe.to),
            packet.outer_bytes.eq(pipe.outer_bytes),
            packet.tos.eq(pipe.tos),
            packet.tos_patch.eq(pipe.patch),
            packet.inner.eq(pipe.inner),
        ]
        return m
