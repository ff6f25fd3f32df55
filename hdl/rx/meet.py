"""Where what the outer header says and what the inner one says come together."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.registers.receive import SLOW, RxReason
from hdl.rx.ecn import inner_tos
from hdl.rx.layouts import InnerFacts, RxPacket, SttFacts, Termination
from hdl.stream.pipe import Pipe


class Meet(wiring.Component):
    """One packet's facts from both parsers and from the tables, in order.

    ::

        termination ─┐          ┌─ packet    what is no STT fragment
        inner ───────┴─ ECN ────┼─ facts     of an STT frame's first fragment
                                └─ (nothing) of another STT fragment: its chunks say all

    Ports: streams `termination`, `inner`; `go` (room for `latency` + 2 behind each output); `packet_valid`, `packet`;
    `facts_valid`, `facts`. Latency: `latency` cycles. Throughput: one packet a cycle; where it is told to take one at a
    time, one every `latency` + 1 cycles, and then room for one is enough. Back-pressure: by `go`.
    Source: RFC 6040, RFC 2983.

    Parameters
    ----------
    width : bytes a beat
    one_at_a_time : take no packet while another is on its way through
    """

    latency = 3

    def __init__(self, *, width: int, one_at_a_time: bool = False):
        self.width, self.one_at_a_time = width, one_at_a_time
        super().__init__(
            {
                "termination": In(stream.Signature(Termination)),
                "inner": In(stream.Signature(InnerFacts)),
                "go": In(1),
                "packet_valid": Out(1),
                "packet": Out(RxPacket),
                "facts_valid": Out(1),
                "facts": Out(SttFacts),
            }
        )

    def elaborate(self, platform):
        m = Module()
        under_way = Signal(self.latency)  # a packet in each step
        free = ~under_way.any() if self.one_at_a_time else 1
        take = self.termination.valid & self.inner.valid & self.go & free
        m.d.sync += under_way.eq(Cat(take, under_way))
        m.d.comb += [self.termination.ready.eq(take), self.inner.ready.eq(take)]
        t, inner = self.termination.p, self.inner.p
        pipe = Pipe(m, take, t=t, outer=t.outer, inner=inner)
        pipe.step()

        # -- reasons that the inner frame gives, where the outer header gave none
        tos, congested = inner_tos(pipe.inner.tos, pipe.outer.tos, pipe.t.uniform)
        through = pipe.t.tunnelled & pipe.inner.has_ip
        bits = exact_log2(self.width)
        pipe.put(
            tos=Mux(through, tos, pipe.inner.tos),
            runt=pipe.t.tunnelled & pipe.inner.runt,
            tag=pipe.t.nvgre & (pipe.inner.tags != 0),
            ecn=through & congested,
            whole=~pipe.t.tunnelled | (pipe.t.reason != RxReason.NONE),  # handed up as it came
            skip=pipe.outer.start[bits:],
            lane=pipe.outer.start[:bits],
            outer_bytes=(pipe.outer.start - pipe.outer.l3)[:10],
            folded=_fold(pipe.outer.source),
        )
        pipe.step()
        reason = Mux(
            pipe.t.reason != RxReason.NONE,
            pipe.t.reason,
            Mux(pipe.runt, RxReason.RUNT, Mux(pipe.tag, RxReason.INNER_VLAN, Mux(pipe.ecn, RxReason.ECN, 0))),
        )
        pipe.put(
            reason=reason[: len(pipe.t.reason)],
            row=Mux(pipe.whole, pipe.outer.row, pipe.outer.row + pipe.skip),
            patch=pipe.tos != pipe.inner.tos,
        )
        pipe.step()
        assert pipe.cycles == self.latency

        chunked = pipe.outer.chunked
        packet, facts, whole = self.packet, self.facts, pipe.whole
        m.d.comb += [
            self.packet_valid.eq(pipe.valid & ~chunked),
            packet.reason.eq(pipe.reason),
            packet.slow.eq(pipe.reason.matches(*SLOW)),
            packet.row.eq(pipe.row),
            packet.lane.eq(Mux(whole, 0, pipe.lane)),
            packet.length.eq(Mux(whole, pipe.outer.length, pipe.outer.inner_length)),
            packet.release_row.eq(pipe.outer.end_row),
            packet.vnet.eq(pipe.t.vnet),
            packet.entry.eq(pipe.t.entry),
            packet.tunnelled.eq(pipe.t.tunnelled),
            packet.origin.eq(Mux(pipe.t.tunnelled, pipe.folded ^ pipe.t.entry, 0)),
            packet.options.eq(pipe.outer.options),
            packet.outer_bytes.eq(Mux(pipe.t.tunnelled, pipe.outer_bytes, 0)),
            packet.tos.eq(pipe.tos),
            packet.tos_patch.eq(pipe.patch),
            packet.inner.eq(pipe.inner),
            self.facts_valid.eq(pipe.valid & chunked & pipe.outer.zero),
            facts.reason.eq(pipe.t.reason),
            facts.vnet.eq(pipe.t.vnet),
            facts.entry.eq(pipe.t.entry),
            facts.uniform.eq(pipe.t.uniform),
            facts.source.eq(pipe.outer.source),
            facts.stt.eq(pipe.outer.stt),
            facts.inner.eq(pipe.inner),
        ]
        return m


def _fold(address):
    """A digest of an address: the XOR of its 32-bit words. Of an IPv4 address it is the address."""
    return address[:32] ^ address[32:64] ^ address[64:96] ^ address[96:]
