"""What the fragment at offset 0 says of its frame, worked out as far as it can be without the others."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import plus, running
from hdl.parse.limits import HEADER_WORD_BITS
from hdl.registers.receive import RX_REASON_BITS
from hdl.rx.layouts import ENTRY_BITS, VNET_BITS, SttFacts


class Check(Enum, shape=2):  # type: ignore[call-arg]
    """What is to be said of the inner TCP or UDP checksum."""

    NONE = 0
    PARTIAL = 1
    BAD = 2
    SUM = 3  # the sum of all fragments says it


class FrameFacts(data.Struct):
    """All that a completion needs of the fragment at offset 0."""

    reason: RX_REASON_BITS
    vnet: VNET_BITS
    entry: ENTRY_BITS
    dst_mac: 48
    hash: 32
    l3: 4
    l4: HEADER_WORD_BITS
    ipv6: 1
    has_ip: 1
    uniform: 1
    tos_word: 16
    ip_sum: 17  # running: of the old IPv4 header checksum and first word, both complemented (RFC 1624)
    ip_status: 2
    check: Check
    padded: 1
    l4_sum: 17  # running: of pseudo-header, length and the fragment's bytes
    cut: 1  # the frame is to be cut into packets with `mss` bytes of payload
    mss: 16
    tagged: 1
    tci: 16


class DigestFacts(wiring.Component):
    """SttFacts to FrameFacts, with one adder between two registers.

    ::

        i ── sums, lengths ── length of TCP ── its sum ── o

    Ports: streams `i` and `o`. Latency: 3 cycles. Throughput: one a cycle. Back-pressure: `o` holds all.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(SttFacts)), "o": Out(stream.Signature(FrameFacts))})

    def elaborate(self, platform):
        m = Module()
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]
        facts = self.i.p
        inner, stt = facts.inner, facts.stt
        l4 = (inner.tcp | inner.udp) & ~inner.unparsed
        cut = inner.tcp & ~inner.unparsed & ~inner.padded & (inner.payload > stt.mss)

        first = Signal(FrameFacts, reset_less=True)
        words, payload = Signal(len(inner.l4)), Signal.like(inner.payload)
        valid_1, valid_2 = Signal(), Signal()
        second = Signal(FrameFacts, reset_less=True)
        length = Signal(16)
        with m.If(move):
            m.d.sync += [
                valid_1.eq(self.i.valid),
                first.reason.eq(facts.reason),
                first.vnet.eq(facts.vnet),
                first.entry.eq(facts.entry),
                first.dst_mac.eq(inner.dst_mac),
                first.hash.eq(inner.hash),
                first.l3.eq(inner.l3),
                first.l4.eq(inner.l4),
                first.ipv6.eq(inner.ipv6),
                first.has_ip.eq(inner.has_ip),
                first.uniform.eq(facts.uniform),
                first.tos_word.eq(inner.tos_word),
                first.ip_sum.eq(plus(running(~inner.ip_checksum), ~inner.tos_word)),
                first.ip_status.eq(inner.ip_status),
                first.check.eq(
                    Mux(
                        ~l4,
                        Check.NONE,
                        Mux(stt.partial, Mux(inner.partial, Check.PARTIAL, Check.BAD), Check.SUM),
                    )
                ),
                first.padded.eq(inner.padded),
                first.l4_sum.eq(plus(running(inner.l4_sum), inner.pseudo)),
                first.cut.eq(cut),
                first.mss.eq(stt.mss),
                first.tagged.eq(stt.tagged),
                first.tci.eq(stt.tci),
                words.eq(inner.header_words - inner.l4),
                payload.eq(inner.payload),
                valid_2.eq(valid_1),
                second.eq(first),
                length.eq(payload + Cat(Const(0, 1), words)),
                self.o.valid.eq(valid_2),
                self.o.p.eq(second),
                self.o.p.l4_sum.eq(plus(second.l4_sum, length)),
            ]
        return m
