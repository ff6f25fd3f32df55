"""What is written into the headers of a complete frame."""

from amaranth import C, Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold, plus, running
from hdl.registers.receive import ChecksumStatus
from hdl.rx.coalesce.records import ENDING
from hdl.rx.layouts import Completion
from hdl.stream.paced_pipe import PacedPipe

IPV6_HEADER = 40


class Finish(wiring.Component):
    """The patches of a complete frame.

    ::

        length ─┬─ - l3 ── IP length ── checksum: old one, without the first packet's length, with this one
                └─ - l4 ── + pseudo-header's sum

    A frame of several packets has one length, checksum and flags for all (`inet_gro_complete`, `tcp_gro_complete`):
    IPv4's checksum by RFC 1624, equation 3; TCP's field holds the pseudo-header's sum. A packet that came alone stays
    as it is but for its TOS.

    Ports: `i_valid` (at most every `pace` cycles), `i`; `o_valid`, `o` (`Completion`), `LATENCY` cycles later.

    Parameters
    ----------
    pace : cycles from one frame to the next, at least
    """

    LATENCY = 6

    def __init__(self, *, pace: int):
        self.pace = pace
        super().__init__({"i_valid": In(1), "i": In(ENDING), "o_valid": Out(1), "o": Out(Completion)})

    def elaborate(self, platform):
        m = Module()
        p = PacedPipe(m, self.i_valid, pace=self.pace, i=self.i)
        p.step()
        p.put(
            l3_length=(p.i.length - Cat(C(0, 1), p.i.first.l3))[:16],
            l4_length=(p.i.length - Cat(C(0, 1), p.i.first.l4))[:16],
        )
        p.step()
        p.put(
            ip_length=(p.l3_length - Mux(p.i.first.ipv6, IPV6_HEADER, 0))[:16],
            s_l4=plus(running(p.i.first.pseudo), p.l4_length),
            s_ip=plus(running(~p.i.first.ip_checksum), ~p.i.first.ip_length),
        )
        p.step()
        p.put(l4_checksum=fold(p.s_l4), s_ip=plus(p.s_ip, p.ip_length))
        p.step()
        p.put(s_ip=~fold(p.s_ip))
        p.step()
        i, first, merged = p.i, p.i.first, p.i.merged
        p.put(
            ip_checksum=Mux(merged, p.s_ip, first.ip_checksum),
            tcp_flags=Cat(first.tcp_flags[0] | i.ends[0], first.tcp_flags[1:3], first.tcp_flags[3] | i.ends[1],
                          first.tcp_flags[4:]),
            patch=first.tos_patch | (merged & ~first.ipv6),
            gso=Mux(merged, i.gso_size, 0),
            tcpv6=merged & first.ipv6,
            fixed=merged & i.fixed_id,
            l4_status=Mux(merged, ChecksumStatus.PARTIAL, i.l4_status)[:2],
        )  # fmt: skip
        p.step()
        assert p.cycles == self.LATENCY

        i, first, o = p.i, p.i.first, self.o
        m.d.comb += [
            self.o_valid.eq(p.valid),
            o.placed.eq(i.placed),
            o.reason.eq(i.reason),
            o.slow.eq(i.slow),
            o.claimed.eq(i.claimed),
            o.handle.eq(i.handle),
            o.length.eq(i.length),
            o.packets.eq(i.packets),
            o.vnet.eq(first.vnet),
            o.entry.eq(first.entry),
            o.tunnelled.eq(first.tunnelled),
            o.to.eq(first.to),
            o.hash.eq(first.hash),
            o.patches.l3.eq(first.l3),
            o.patches.l4.eq(first.l4),
            o.patches.ipv6.eq(first.ipv6),
            o.patches.tos_word.eq(first.tos_word),
            o.patches.ip.eq(p.patch),
            o.patches.ip_checksum.eq(p.ip_checksum),
            o.patches.merged.eq(i.merged),
            o.patches.ip_length.eq(p.ip_length),
            o.patches.tcp_flags.eq(p.tcp_flags),
            o.patches.l4_checksum.eq(p.l4_checksum),
            o.gso_size.eq(p.gso),
            o.tcpv6.eq(p.tcpv6),
            o.fixed_id.eq(p.fixed),
            o.ip_status.eq(i.ip_status),
            o.l4_status.eq(p.l4_status),
        ]
        return m
