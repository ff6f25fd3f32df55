"""What is said of a frame that is whole, or of packets that came to nothing."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold, gate, plus
from hdl.registers.receive import RX_REASON_BITS, ChecksumStatus, RxReason
from hdl.rx.ecn import inner_tos
from hdl.rx.layouts import HANDLE_BITS, Completion
from hdl.rx.reassemble.facts import Check, FrameFacts
from hdl.rx.reassemble.frames import CE, record_layout
from hdl.stream.pipe import Pipe

STT_HEADER = 18


def ending_layout(zero_bits: int) -> data.StructLayout:
    """The end of a frame or of a fragment."""
    return data.StructLayout(
        {
            "single": 1,  # a fragment that was not taken, for `reason`
            "lost": 1,  # a frame that is given up, for `reason`; else it is whole
            "reason": RX_REASON_BITS,
            "record": record_layout(bits=16, zero_bits=zero_bits),
        }
    )


class Finish(wiring.Component):
    """The end of a frame becomes a completion.

    ::

        i ── others' sum, ECN ── whole sum, TOS ── status, IP checksum ── completion

    The inner TOS is what RFC 6040 and RFC 2983 make of it; the IPv4 checksum is corrected, not computed anew (RFC 1624,
    equation 3), so that a wrong one stays wrong. The TCP or UDP checksum is right where the sum of all fragments is
    0xFFFF; where Ethernet padding is among them, it says nothing.

    Ports: `valid`, `i`, `facts`, `placed`; a cycle later `lost_handle`, `lost_packets`, where a frame is given up;
    `completion_valid`, `completion`. Latency: `latency` cycles. Throughput: one a cycle. No back-pressure.
    """

    latency = 3

    def __init__(self, *, zero_bits: int):
        super().__init__(
            {
                "valid": In(1),
                "i": In(ending_layout(zero_bits)),
                "facts": In(FrameFacts),
                "placed": In(16),
                "lost_handle": In(HANDLE_BITS),
                "lost_packets": In(16),
                "completion_valid": Out(1),
                "completion": Out(Completion),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(m, self.valid, i=self.i, facts=self.facts, placed=self.placed)
        record, facts = pipe.i.record, pipe.facts
        outer = Cat(Mux(record.congested, CE, record.tos[:2])[:2], record.tos[2:])
        was = Mux(facts.ipv6, facts.tos_word[4:12], facts.tos_word[:8])
        tos, drop = inner_tos(was, outer, facts.uniform)
        pipe.put(
            others=fold(record.sum),
            tos=tos,
            was=was,
            drop=facts.has_ip & drop,
            many=record.packets != 1,
            length=(record.total - STT_HEADER)[:16],
        )
        pipe.step()

        record, facts = pipe.i.record, pipe.facts
        word = facts.tos_word
        tos_word = Mux(facts.ipv6, Cat(word[:4], pipe.tos, word[12:]), Cat(pipe.tos, word[8:]))
        pipe.put(
            handle=Mux(pipe.i.lost, self.lost_handle, record.handle),
            packets=Mux(pipe.i.single, 1, Mux(pipe.i.lost, self.lost_packets, record.packets)),
            sum=plus(facts.l4_sum, pipe.others),
            tos_word=tos_word,
            patch=facts.has_ip & (pipe.tos != pipe.was),
            ip_sum=plus(facts.ip_sum, tos_word),
            reason=Mux(
                pipe.i.single | pipe.i.lost,
                pipe.i.reason,
                Mux(facts.reason != RxReason.NONE, facts.reason, Mux(pipe.drop, RxReason.ECN, RxReason.NONE)),
            )[:RX_REASON_BITS],
            check=Mux((facts.check == Check.SUM) & facts.padded & pipe.many, Check.NONE, facts.check),
        )
        pipe.step()

        facts = pipe.facts
        # folded, it is 0xFFFF
        good = Mux(pipe.sum[16], pipe.sum[:16] == 0xFFFE, pipe.sum[:16] == 0xFFFF)
        status = Signal(ChecksumStatus)
        with m.Switch(pipe.check):
            with m.Case(Check.NONE):
                m.d.comb += status.eq(ChecksumStatus.NONE)
            with m.Case(Check.PARTIAL):
                m.d.comb += status.eq(ChecksumStatus.PARTIAL)
            with m.Case(Check.BAD):
                m.d.comb += status.eq(ChecksumStatus.BAD)
            with m.Case(Check.SUM):
                m.d.comb += status.eq(Mux(good, ChecksumStatus.GOOD, ChecksumStatus.BAD))
        pipe.put(
            l4_status=status,
            gso_size=gate(facts.cut & (status != ChecksumStatus.BAD), facts.mss),
            ip_checksum=~fold(pipe.ip_sum),
        )
        pipe.step()
        assert pipe.cycles == self.latency

        completion, facts = self.completion, pipe.facts
        m.d.comb += [
            self.completion_valid.eq(pipe.valid),
            completion.stt.eq(1),
            completion.placed.eq(pipe.placed),
            completion.reason.eq(pipe.reason),
            completion.claimed.eq(~pipe.i.single),
            completion.handle.eq(pipe.handle),
            completion.length.eq(pipe.length),
            completion.packets.eq(pipe.packets),
            completion.vnet.eq(facts.vnet),
            completion.entry.eq(facts.entry),
            completion.tunnelled.eq(1),
            completion.to.eq(facts.to),
            completion.hash.eq(facts.hash),
            completion.patches.l3.eq(facts.l3),
            completion.patches.l4.eq(facts.l4),
            completion.patches.ipv6.eq(facts.ipv6),
            completion.patches.ip.eq(pipe.patch),
            completion.patches.tos_word.eq(pipe.tos_word),
            completion.patches.ip_checksum.eq(pipe.ip_checksum),
            completion.gso_size.eq(pipe.gso_size),
            completion.tcpv6.eq(facts.ipv6),
            completion.ip_status.eq(facts.ip_status),
            completion.l4_status.eq(pipe.l4_status),
            completion.tagged.eq(facts.tagged),
            completion.tci.eq(facts.tci),
        ]
        return m
