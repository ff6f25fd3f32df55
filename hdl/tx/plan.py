"""What becomes of a frame: dropped, sent whole, segmented or fragmented, and every sum that its packets share."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold, gate, plus, running
from hdl.registers.counters import DropReason
from hdl.stream.pipe import Pipe
from hdl.table.forwarding import Route
from hdl.tx.layouts import FrameContext, FramePlan, OuterConstants, Plan

STT_HEADER = 18  # bytes of the STT frame header
TAG_SUM = 0x8100  # TPID of a C-tag
JUMBO_FRAME = 9216 + 22  # longest frame that is held as a whole for its checksum (STT frame mode)


class Planner(wiring.Component):
    """A frame's context and route in, its plan out: the one place that decides.

    ::

        context ─┬─ lengths ── TSO? STT frame? fits? ── reason, piece sizes ─┬─ plan
        route ───┴─ sums of constant words (one adder a stage) ──────────────┘

    The rules are those of RFC 9293 segmentation as Linux does it (`tcp_gso_segment`), of draft-davie-stt-08 for frames,
    RFC 6040 for ECN and RFC 2983 for DSCP.

    Ports: `valid`, `context`, `route` in; `done`, `plan`, `frame` out; `constants` out, in the cycle of `valid`.
    Latency: `latency` cycles. Throughput: one frame a cycle. No back-pressure: the caller has reserved room.

    Parameters
    ----------
    width : bytes a beat
    """

    latency = 10

    def __init__(self, *, width: int):
        self.width = width
        super().__init__(
            {
                "valid": In(1),
                "context": In(FrameContext),
                "route": In(Route),
                "done": Out(1),
                "plan": Out(Plan),
                "frame": Out(FramePlan),
                "constants": Out(OuterConstants),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(m, self.valid, c=self.context, route=self.route)
        pipe.put(tos_word=self.constants.tos, tci=self.constants.stt_tci)
        self._constants(m)
        pipe.step()  # from queues far away
        self._lengths_1(pipe)
        self._sums_1(pipe)
        pipe.step()
        self._lengths_2(pipe)
        self._sums_2(pipe)
        pipe.step()
        self._lengths_3(pipe)
        self._sums_3(pipe)
        pipe.step()
        self._modes(pipe)
        self._sums_4(pipe)
        pipe.step()
        self._sizes(pipe)
        self._sums_5(pipe)
        pipe.step()
        self._fit(pipe)
        self._sums_6(pipe)
        pipe.step()
        self._reasons(m, pipe)
        self._sums_7(pipe)
        pipe.step()
        self._sums_8(pipe)
        pipe.step()
        self._sums_9(pipe)
        pipe.step()
        assert pipe.cycles == self.latency
        m.d.comb += self.done.eq(pipe.valid)
        self._output(m, pipe)
        return m

    def _constants(self, m):
        """What needs no arithmetic."""
        c, tunnel, profile = self.context, self.route.tunnel, self.route.profile
        tos = Cat(c.tos[:2], Mux(profile.pipe, profile.dscp, c.tos[2:]))
        m.d.comb += [
            self.constants.profile.eq(tunnel.profile),
            self.constants.tos.eq(Mux(profile.ipv6, Cat(Const(0, 4), tos, Const(6, 4)), Cat(tos, Const(0x45, 8)))),
            self.constants.flow_port.eq(_flow_port(c)),
            self.constants.gso_size.eq(c.gso_size),
            self.constants.stt_tci.eq(_tci(c, profile.strip_tag & c.tagged)),
            self.constants.next_hop.eq(tunnel.next_hop),
            self.constants.key.eq(tunnel.key),
            self.constants.remote.eq(tunnel.remote),
        ]

    # -- lengths and decisions ------------------------------------------------------------------------------------

    def _lengths_1(self, p):
        c, profile = p.c, p.route.profile
        strip = profile.strip_tag & c.tagged
        header = Cat(Const(0, 1), c.header_words)  # bytes
        checked = c.tcp | c.udp
        p.put(
            strip=strip,
            tag_left=(c.tags == 2) | ((c.tags == 1) & ~strip),
            payload=(c.length - header)[:17],
            covered=(Mux(checked, c.ip_end, c.length) - header)[:17],
            no_trailer=c.ip_end == c.length,
            frame_length=(c.length + Mux(strip, STT_HEADER - 4, STT_HEADER))[:18],  # as an STT frame
            l3_words=(c.header_words - c.l3)[:9],
            l4_words=(c.header_words - c.l4)[:9],
            l4_total=(c.ip_end - Cat(Const(0, 1), c.l4))[:16],
            limit=(profile.max_length + Mux(profile.words == 0, Cat(Const(0, 1), c.l3), 0))[:15],
            capacity_first=(profile.stt_capacity - STT_HEADER)[:15].as_signed(),
            gso=c.gso_size != 0,
            cwr=c.original.tcp_flags[7],
        )

    def _lengths_2(self, p):
        c, profile = p.c, p.route.profile
        kept = (c.header_words - Cat(Const(0, 1), p.strip))[:9]
        p.put(
            kept=kept,
            length=(c.length - Cat(Const(0, 2), p.strip))[:17],
            l4_kept=(c.l4 - Cat(Const(0, 1), p.strip))[:9],
            over_mss=p.payload > c.gso_size,
            fits_stt=p.frame_length < 0x10000,
            inner_l3=(Cat(Const(0, 1), p.l3_words) - Mux(c.ipv6, 40, 0))[:16],
        )
        p.put(may_segment=c.tcp & p.gso & p.no_trailer, frames=profile.stt_frame)

    def _lengths_3(self, p):
        c = p.c
        kept_bytes = Cat(Const(0, 1), p.kept)
        p.put(
            tso=p.may_segment & p.over_mss,
            stt_able=p.frames & p.fits_stt & ~p.cwr & (p.l4_kept[7:] == 0),
            segment_length=(kept_bytes + c.gso_size)[:17],
            first_capacity=(p.capacity_first - kept_bytes)[:15].as_signed(),
            c_outer_length=(kept_bytes + p.route.profile.length_add)[:16],
            c_outer_l4_length=(kept_bytes + p.route.profile.l4_length_add)[:16],
            stt_length_one=(kept_bytes + STT_HEADER)[:16],
        )

    def _modes(self, p):
        super_frame = p.tso & p.stt_able
        segmented = p.tso & ~p.stt_able
        p.put(super_frame=super_frame, segmented=segmented, fragmented=p.frames & ~segmented)

    def _sizes(self, p):
        c, profile = p.c, p.route.profile
        p.put(
            first=Mux(p.segmented, c.gso_size, Mux(p.fragmented, p.first_capacity[:14], p.payload))[:17],
            rest=Mux(p.segmented, c.gso_size, profile.stt_capacity),
            largest=Mux(p.segmented, p.segment_length, p.length),
            limit=Mux(p.fragmented, JUMBO_FRAME, p.limit),
            misfit=p.fragmented & (~p.fits_stt | (p.first_capacity <= 0)),
            c_length=Mux(p.segmented, p.inner_l3, c.original.length),
            c_l4_length=Mux(p.segmented, Cat(Const(0, 1), p.l4_words), p.l4_total),
            stt_length=Mux(p.fragmented, p.frame_length[:16], p.stt_length_one),
            partial=p.super_frame,
            complete=(c.tcp | c.udp) & ~p.super_frame,
        )

    def _fit(self, p):
        p.put(
            too_big=(p.largest > p.limit) & ~p.super_frame,
            single=p.payload <= p.first,
        )

    def _reasons(self, m, p):
        c, route = p.c, p.route
        reasons = {
            DropReason.RUNT: c.runt,
            DropReason.OVERSIZE: c.oversize,
            DropReason.BAD_LENGTH: c.bad_length,
            DropReason.UNKNOWN_VPORT: ~route.known_vport,
            DropReason.NO_ROUTE: ~route.known_route,
            DropReason.POLICY: route.drop,
            DropReason.INNER_VLAN: route.profile.forbid_tag & p.tag_left,
            DropReason.MTU: p.too_big | p.misfit,
        }
        reason = Signal(Plan.as_shape()["reason"].shape)
        for name, condition in reversed(reasons.items()):
            with m.If(condition):
                m.d.comb += reason.eq(name)
        dropped = Cat(reasons.values()).any()
        p.put(reason=reason, single=p.single | dropped)

    # -- sums of constant words -----------------------------------------------------------------------------------

    def _sums_1(self, p):
        c, route = p.c, p.route
        o = c.original
        p.put(
            s_address=plus(running(c.src_sum), c.dst_sum),
            s_l2=plus(running(c.l2_sum), gate(route.profile.strip_tag & c.tagged, Const(~TAG_SUM & 0xFFFF, 16))),
            s_originals=plus(running(o.id), o.ip_checksum),
            s_sequence=plus(running(o.sequence[16:]), o.sequence[:16]),
            s_l4=plus(running(c.l4_sum), o.tcp_flags),
            s_remote=plus(running(route.profile.ip_sum), route.tunnel.remote_sum),
            s_outer=plus(running(route.profile.l4_sum), gate(route.profile.pseudo, route.tunnel.remote_sum)),
            flow_port=_flow_port(c),
        )

    def _sums_2(self, p):
        c, profile = p.c, p.route.profile
        p.put(
            address=fold(p.s_address),
            s_l2=plus(p.s_l2, gate(p.strip, ~c.tci)),
            originals=fold(p.s_originals),
            sequence=fold(p.s_sequence),
            s_outer=plus(p.s_outer, gate(profile.pseudo, p.flow_port)),
        )

    def _sums_3(self, p):
        c = p.c
        p.put(
            front_l2=fold(p.s_l2),
            s_pseudo=plus(running(p.address), _protocol(c)),
            s_ip=plus(running(p.address), c.l3_sum),
            s_l4_whole=plus(p.s_l4, p.sequence),
            s_outer_ip=plus(p.s_remote, p.tos_word),
            c_outer_l4=fold(p.s_outer),
            s_first=plus(running(p.route.tunnel.key_sum), gate(p.route.profile.stt, p.tci)),
        )

    def _sums_4(self, p):
        p.put(
            c_pseudo=fold(p.s_pseudo),
            c_header=fold(p.s_l4_whole),
            c_ip=fold(p.s_ip),
            s_front=plus(p.s_ip, p.originals),
            c_outer_ip=fold(p.s_outer_ip),
        )

    def _sums_5(self, p):
        p.put(
            s_front=running(fold(p.s_front)),
            s_partial=plus(running(p.c_pseudo), p.l4_total),
            s_first=plus(p.s_first, gate(p.route.profile.stt & p.super_frame, p.c.gso_size)),
        )

    def _sums_6(self, p):
        stt, checked = p.route.profile.stt, p.c.tcp | p.c.udp
        flags = Cat(p.complete, p.partial, checked & p.c.ipv4, p.c.tcp, Const(0, 12))
        p.put(
            s_front=plus(running(p.front_l2), gate(~p.c.ipv4, p.s_front)),
            partial_sum=fold(p.s_partial),
            stt_flags=flags,
            stt_l4_offset=gate(p.partial, Cat(Const(0, 9), p.l4_kept[:7])),
            s_first=plus(p.s_first, gate(stt, flags)),
        )

    def _sums_7(self, p):
        p.put(
            c_front=fold(p.s_front),
            checksum=Mux(p.partial, p.partial_sum, p.c.original.l4_checksum),
            whole_sum=p.fragmented & p.complete & ~p.single,
            s_first=plus(p.s_first, gate(p.route.profile.stt, p.stt_l4_offset)),
        )

    def _sums_8(self, p):
        p.put(s_first=plus(p.s_first, p.c_outer_l4))

    def _sums_9(self, p):
        p.put(c_outer_first=fold(p.s_first))

    def _output(self, m, p):
        c, route = p.c, p.route
        profile, original = route.profile, c.original
        here = {
            "unparsed": c.unparsed,
            "lane": c.header_words[: max((self.width // 2 - 1).bit_length(), 1)] << 1,
            "accecn": c.accecn,
            "header_row": c.header_row,
            "header_words": c.header_words,
            "kept_words": p.kept,
            "ipv4": c.ipv4,
            "udp": c.udp,
            "ip_checksum": original.ip_checksum,
            "id": original.id,
            "tcp_flags": original.tcp_flags,
            "c_l4": c.l4_sum,
            "index": route.index,
            "words": profile.words,
            "tunnelled": profile.tunnelled,
            "pseudo": profile.pseudo,
            "outer_udp": profile.udp,
            "stt": profile.stt,
        }
        for plan, shape, own in (
            (self.plan, Plan, {"sequence": original.sequence}),
            (self.frame, FramePlan, {"sequence": profile.sequence}),
        ):
            for name, _ in shape.as_shape():
                value = own[name] if name in own else here[name] if name in here else getattr(p, name)
                m.d.comb += getattr(plan, name).eq(value)


def _protocol(c):
    """The protocol word of the inner pseudo-header: 6 or 17."""
    return Cat(c.udp, c.tcp, c.tcp, Const(0, 1), c.udp, Const(0, 11))


def _tci(c, strip):
    """The STT frame header's tag word: PCP, V, VID; 0 without a tag."""
    return gate(strip, Cat(c.tci[:12], Const(1, 1), c.tci[13:]))


def _flow_port(c):
    """49152 to 65535, by the inner flow."""
    return Cat(c.hash[:14], Const(3, 2))
