"""What a vport is told of a frame that another one sent, and what its headers lack."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold
from hdl.registers.receive import ChecksumStatus
from hdl.rx.layouts import InnerFacts
from hdl.stream.beat import FRAME_LENGTH_BITS
from hdl.stream.pipe import Pipe

GOOD, NONE, PARTIAL = ChecksumStatus.GOOD, ChecksumStatus.NONE, ChecksumStatus.PARTIAL


class Word(data.Struct):
    """A 16-bit word of the frame that is to be written: a checksum."""

    write: 1
    at: 10  # byte
    value: 16


class HandOver(data.Struct):
    """What is known of a frame behind its last byte."""

    ip: Word
    l4: Word
    hash: 32
    gso_size: 16  # 0: one packet
    cut: 1  # longer than the vport takes
    tcpv6: 1
    ip_status: 2
    l4_status: 2


class Finish(wiring.Component):
    """Complete a frame's checksums, as the transmit path does where it cuts nothing.

    ::

        facts ── + ── fold ── + ── fold ── ~ ── o

    A TCP frame with more payload than `gso_size` stays whole, and its TCP checksum is the sum of its pseudo-header.
    Where what lies behind its layer-2 header is more than `receive_mtu`, whoever hands it up cuts it. What the parser
    did not understand stays as it is.

    Ports: `i_valid`, `facts`, `ip_sum` (of `InnerParse`), `length` (of the frame), `gso_size`, `receive_mtu`;
    `o_valid`, `o` (`HandOver`) `latency` cycles later.
    Throughput: one a cycle. No back-pressure.
    """

    latency = 7

    def __init__(self) -> None:
        super().__init__(
            {
                "i_valid": In(1),
                "facts": In(InnerFacts),
                "ip_sum": In(16),
                "length": In(FRAME_LENGTH_BITS),
                "gso_size": In(16),
                "receive_mtu": In(17),
                "o_valid": Out(1),
                "o": Out(HandOver),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(
            m,
            self.i_valid,
            facts=self.facts,
            ip_sum=self.ip_sum,
            length=self.length,
            gso=self.gso_size,
            most=self.receive_mtu,
        )
        pipe.step()
        facts = pipe.facts
        understood = facts.has_ip & ~facts.unparsed
        pipe.put(
            larger=facts.payload > pipe.gso,
            behind=(pipe.length - (facts.l3 << 1))[:FRAME_LENGTH_BITS],
            bytes=(facts.payload + ((facts.header_words - facts.l4) << 1))[:FRAME_LENGTH_BITS],
            ip=(pipe.ip_sum + (facts.ip_checksum ^ 0xFFFF))[:17],
            l4=(facts.l4_sum + (facts.l4_checksum ^ 0xFFFF))[:17],
            v4=understood & ~facts.ipv6,
            completes=facts.tcp | facts.udp,
        )
        pipe.step()
        facts = pipe.facts
        pipe.put(
            several=pipe.larger & facts.tcp & ~facts.padded & pipe.gso.any(),
            over=pipe.behind > pipe.most,
            pseudo=(facts.pseudo + pipe.bytes[:16] + pipe.bytes[16])[:17],
            ip=fold(pipe.ip),
            l4=fold(pipe.l4),
        )
        pipe.step()
        pipe.put(pseudo=fold(pipe.pseudo))
        pipe.step()
        pipe.put(l4=(pipe.l4 + pipe.pseudo)[:17])
        pipe.step()
        pipe.put(whole=fold(pipe.l4) ^ 0xFFFF)
        pipe.step()
        facts, several = pipe.facts, pipe.several
        o = Signal(HandOver, reset_less=True)
        m.d.sync += [
            o.ip.write.eq(pipe.v4),
            o.ip.at.eq((facts.l3 + 5) << 1),
            o.ip.value.eq(pipe.ip ^ 0xFFFF),
            o.l4.write.eq(pipe.completes),
            o.l4.at.eq((facts.l4 + Mux(facts.tcp, 8, 3)) << 1),
            o.l4.value.eq(Mux(several, pipe.pseudo, pipe.whole | (facts.udp & (pipe.whole == 0)).replicate(16))),
            o.hash.eq(facts.hash),
            o.gso_size.eq(Mux(several, pipe.gso, 0)),
            o.cut.eq(several & pipe.over),
            o.tcpv6.eq(several & facts.ipv6),
            o.ip_status.eq(Mux(pipe.v4, GOOD, NONE)),
            o.l4_status.eq(Mux(several, PARTIAL, Mux(pipe.completes, GOOD, NONE))),
        ]
        pipe.step()
        assert pipe.cycles == self.latency
        m.d.comb += [self.o_valid.eq(pipe.valid), self.o.eq(o)]
        return m
