"""What the fragment at offset 0 says of its frame, worked out as far as it can be without the others."""

from amaranth import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import plus, running
from hdl.parse.limits import HEADER_WORD_BITS
from hdl.registers.receive import RX_REASON_BITS
from hdl.rx.layouts import ENTRY_BITS, VNET_BITS, Destination, SttFacts
from hdl.stream.fifo import Fifo
from hdl.stream.quick_fifo import QuickFifo


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
    to: Destination
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
    """SttFacts to FrameFacts, and a queue for them.

    ::

        write/i ── sums ──> [ fifo ] ── o

    Ports: `write`/`i`; stream `o`; `space` (see `BlockRamFifo`). Latency: 1 cycle if `quick`, else 4. Throughput: one a
    cycle. Back-pressure: by `space`.

    Parameters
    ----------
    depth, margin : of the queue
    quick : in distributed RAM, at a LUT a bit
    """

    def __init__(self, *, depth: int, margin: int, quick: bool) -> None:
        self.depth, self.margin, self.quick = depth, margin, quick
        super().__init__({"write": In(1), "i": In(SttFacts), "o": Out(stream.Signature(FrameFacts)), "space": Out(1)})

    def elaborate(self, platform):
        m = Module()
        queue = QuickFifo if self.quick else Fifo
        m.submodules.fifo = fifo = queue(shape=FrameFacts, depth=self.depth, margin=self.margin)
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        facts, o = self.i, fifo.i
        inner, stt = facts.inner, facts.stt
        l4 = (inner.tcp | inner.udp) & ~inner.unparsed
        cut = inner.tcp & ~inner.unparsed & ~inner.padded & (inner.payload > stt.mss)
        m.d.comb += [
            self.space.eq(fifo.space),
            fifo.write.eq(self.write),
            o.reason.eq(facts.reason),
            o.vnet.eq(facts.vnet),
            o.entry.eq(facts.entry),
            o.to.eq(facts.to),
            o.hash.eq(inner.hash),
            o.l3.eq(inner.l3),
            o.l4.eq(inner.l4),
            o.ipv6.eq(inner.ipv6),
            o.has_ip.eq(inner.has_ip),
            o.uniform.eq(facts.uniform),
            o.tos_word.eq(inner.tos_word),
            o.ip_sum.eq(plus(running(~inner.ip_checksum), ~inner.tos_word)),
            o.ip_status.eq(inner.ip_status),
            o.check.eq(
                Mux(
                    ~l4,
                    Check.NONE,
                    Mux(stt.partial, Mux(inner.partial, Check.PARTIAL, Check.BAD), Check.SUM),
                )
            ),
            o.padded.eq(inner.padded),
            o.l4_sum.eq(plus(running(inner.l4_sum), inner.pseudo_whole)),
            o.cut.eq(cut),
            o.mss.eq(stt.mss),
            o.tagged.eq(stt.tagged),
            o.tci.eq(stt.tci),
        ]
        return m
