"""A piece and its sum become a packet: every length, number and checksum of its headers."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import fold, gate, plus, running
from hdl.registers.counters import COUNTERS, DropReason, TxCounter
from hdl.registers.tables import TUNNEL_BITS
from hdl.stream.pipe import Pipe
from hdl.table.sequence import SequenceNumbers
from hdl.tx.layouts import FramePlan, HeaderRecord, OuterPacket, PayloadRecord, Piece, PieceSum

STT_HEADER = 18
STT_HEADER_WORDS = STT_HEADER // 2
ACK, ACK_PSH = 0x5010, 0x5018  # data offset 5


class Finisher(wiring.Component):
    """Fills in what the patches of one packet write, and hands a record to each of the three engines behind.

    ::

        piece, frame ─┐
        sum ──────────┼─ numbers ── inner IP, inner L4 ── inner total ── outer checksum ─┬─ outer packet
        total ────────┘  (in order)     one adder a stage, carries deferred              ├─ header record
                                                                                         └─ payload record

    The one in-order stage that gives out the outer IP ID (RFC 6864), GRE sequence numbers (RFC 2890) and STT frame
    identifiers; dropped frames take none. The inner checksums come first and the outer one last: an inner packet whose
    checksum is complete sums to the complement of its pseudo-header, so the outer sum never looks at the payload again.

    Ports: streams `piece`, `frame` (one for each frame), `sum` (one for each piece with payload that is not dropped),
    `total` (one for each frame with `whole_sum`); `go` (room for `latency` + 2 records); valid-only records; `reason`
    and `events` for the counters; `sequence_*`: the driver sets a tunnel's next GRE sequence number.
    Latency: `latency` cycles. Throughput: one packet a cycle.

    Parameters
    ----------
    width : bytes a beat
    """

    latency = 16

    def __init__(self, *, width: int):
        self.width = width
        super().__init__(
            {
                "piece": In(stream.Signature(Piece)),
                "frame": In(stream.Signature(FramePlan)),
                "sum": In(stream.Signature(PieceSum)),
                "total": In(stream.Signature(16)),
                "go": In(1),
                "outer_valid": Out(1),
                "outer": Out(OuterPacket),
                "header_valid": Out(1),
                "header": Out(HeaderRecord),
                "payload_valid": Out(1),
                "payload": Out(PayloadRecord),
                "reason": Out(DropReason),
                "events": Out(COUNTERS),
                "sequence_write": In(1),
                "sequence_row": In(TUNNEL_BITS),
                "sequence_next": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = self._meet(m)
        self._number(m, pipe)
        chain = [
            self._lengths, self._begin, self._add_1, self._add_2, self._add_3, self._add_4, self._add_5, self._add_6,
            self._add_7, self._add_8, self._close,
        ]  # fmt: skip
        for stage in chain:
            stage(pipe)
            pipe.step()
        assert pipe.cycles == self.latency, pipe.cycles
        self._records(m, pipe)
        self._count(m, pipe)
        return m

    def _meet(self, m):
        """Pop a piece together with its sum."""
        numbers = self.piece.payload
        take = Signal()
        m.d.comb += [
            take.eq(
                self.piece.valid
                & self.frame.valid
                & self.go
                & (self.sum.valid | ~numbers.summed)
                & (self.total.valid | ~numbers.totalled)
            ),
            self.piece.ready.eq(take),
            self.frame.ready.eq(take & numbers.last),
            self.sum.ready.eq(take & numbers.summed),
            self.total.ready.eq(take & numbers.totalled),
        ]
        pipe = Pipe(m, take, f=self.frame.payload, n=numbers, total=self.total.payload)
        pipe.put(
            part=gate(numbers.summed, self.sum.payload.covered),
            trailer=gate(numbers.summed, self.sum.payload.trailer),
            error=self.sum.payload.error & numbers.summed,
        )
        pipe.step()
        return pipe

    def _number(self, m, p):
        """Outer IP ID, STT frame identifier and GRE sequence, in the order in which packets leave."""
        f, n = p.f, p.n
        p.put(dropped=f.reason != DropReason.NONE)
        p.put(alive=~p.dropped & ~p.error)
        p.put(
            takes_id=p.alive & f.tunnelled,
            takes_frame=~p.dropped & f.stt & Mux(f.fragmented, n.last, ~p.error),
            takes_sequence=p.alive & f.sequence,
            follower=f.fragmented & ~n.first,  # a fragment that has no inner headers
            covered=Mux(n.totalled, p.total, p.part),
        )
        p.step()
        next_id, next_frame = Signal(16), Signal(32)
        with m.If(p.valid):
            m.d.sync += [next_id.eq(next_id + p.takes_id), next_frame.eq(next_frame + p.takes_frame)]
        m.submodules.sequences = sequences = SequenceNumbers()
        m.d.comb += [
            sequences.valid.eq(p.valid & p.takes_sequence),
            sequences.index.eq(p.f.index),
            sequences.write.eq(self.sequence_write),
            sequences.row.eq(self.sequence_row),
            sequences.next.eq(self.sequence_next),
        ]
        p.put(outer_id=next_id, frame=next_frame)
        for _ in range(sequences.latency):
            p.step()
        p.put(gre_sequence=sequences.number)

    def _lengths(self, p):
        f, n = p.f, p.n
        piece = gate(f.segmented, n.length)
        p.put(
            length=(f.c_length + piece)[:16],
            l4_length=(f.c_l4_length + piece)[:16],
            body=(Cat(n.length, Const(0, 2)) - gate(p.follower, Cat(Const(0, 1), f.kept_words) + STT_HEADER))[:16],
            stt_length=(f.stt_length + gate(~f.fragmented, n.length))[:16],
            offset_words=(f.words - gate(p.follower, Const(STT_HEADER_WORDS, 7)))[:7],
            inner_words=gate(~p.follower, f.kept_words),
            direct=f.complete & ~f.fragmented,
            s_l4=plus(running(f.c_pseudo), f.c_l4),
        )

    def _begin(self, p):
        f = p.f
        p.put(
            outer_length=(f.c_outer_length + p.body)[:16],
            outer_l4_length=(f.c_outer_l4_length + p.body)[:16],
            payload_offset=(p.offset_words + p.inner_words)[:6],
            s_ip=plus(running(f.c_ip), p.length),
            s_l4=plus(p.s_l4, p.l4_length),
            s_pseudo=plus(running(f.c_pseudo), p.l4_length),
            s_inner=plus(running(f.c_front), gate(~f.ipv4, p.length)),
            outer_sequence=Mux(f.stt, Cat(p.n.offset, p.stt_length), p.gre_sequence),
            outer_flags=Mux(p.n.last | ~f.fragmented, ACK_PSH, ACK),
            ack=p.frame,
        )

    def _add_1(self, p):
        f, n = p.f, p.n
        p.put(
            s_ip=plus(p.s_ip, n.id),
            s_l4=plus(p.s_l4, n.sequence[16:]),
            pseudo=fold(p.s_pseudo),
            s_inner=plus(p.s_inner, p.trailer),
            s_part=plus(running(p.part), p.trailer),
            s_outer_ip=plus(running(f.c_outer_ip), p.outer_length),
            s_outer=plus(running(Mux(p.follower, f.c_outer_l4, f.c_outer_first)), gate(f.pseudo, p.outer_l4_length)),
        )

    def _add_2(self, p):
        f, n = p.f, p.n
        p.put(
            ip_checksum=fold(p.s_ip),
            s_l4=plus(p.s_l4, n.sequence[:16]),
            s_inner=plus(p.s_inner, Mux(p.direct, ~p.pseudo, f.c_header)),
            s_outer_ip=plus(p.s_outer_ip, p.outer_id),
            s_outer=plus(p.s_outer, gate(f.outer_udp, p.outer_l4_length)),
        )

    def _add_3(self, p):
        f, n = p.f, p.n
        p.put(
            ip_checksum=Mux(f.ipv4, ~p.ip_checksum, f.ip_checksum),
            s_l4=plus(p.s_l4, n.tcp_flags),
            s_inner=plus(p.s_inner, gate(~p.direct, p.part)),
            outer_ip_checksum=fold(p.s_outer_ip),
            s_outer=plus(p.s_outer, gate(f.sequence | f.stt, p.outer_sequence[16:])),
        )

    def _add_4(self, p):
        p.put(
            s_l4=plus(p.s_l4, p.covered),
            s_outer=plus(p.s_outer, gate(p.f.sequence | p.f.stt, p.outer_sequence[:16])),
        )

    def _add_5(self, p):
        p.put(l4_sum=fold(p.s_l4), s_outer=plus(p.s_outer, gate(p.f.stt, p.ack[16:])))

    def _add_6(self, p):
        f = p.f
        computed = Mux(f.udp & (p.l4_sum == 0xFFFF), 0xFFFF, ~p.l4_sum)
        p.put(
            l4_checksum=Mux(f.complete, computed, f.checksum),
            s_outer=plus(p.s_outer, gate(f.stt, p.ack[:16])),
        )

    def _add_7(self, p):
        p.put(
            s_inner=plus(p.s_inner, gate(~p.direct, p.l4_checksum)),
            s_outer=plus(p.s_outer, gate(p.f.stt, p.outer_flags)),
        )

    def _add_8(self, p):
        p.put(inner=Mux(p.follower, fold(p.s_part), fold(p.s_inner)))

    def _close(self, p):
        p.put(s_outer=plus(p.s_outer, p.inner))

    def _records(self, m, p):
        f, n, width = p.f, p.n, self.width
        outer_sum = fold(p.s_outer)
        outer_checksum = Mux(f.outer_udp & (outer_sum == 0xFFFF), 0xFFFF, ~outer_sum)
        values = {
            "length": p.outer_length,
            "id": p.outer_id,
            "ip_checksum": ~p.outer_ip_checksum,
            "udp_length": p.outer_l4_length,
            "l4_checksum": outer_checksum,
            "sequence_high": p.outer_sequence[16:],
            "sequence_low": p.outer_sequence[:16],
            "ack_high": p.ack[16:],
            "ack_low": p.ack[:16],
            "tcp_flags": p.outer_flags,
            "stt_flags": f.stt_flags,
            "stt_l4_offset": f.stt_l4_offset,
        }
        m.d.sync += [getattr(self.outer.values, name).eq(value) for name, value in values.items()]
        m.d.sync += [
            self.outer_valid.eq(p.valid),
            self.outer.alive.eq(p.alive),
            self.outer.last.eq(n.last),
            self.outer.partial.eq(f.partial),
            self.outer.words.eq(p.offset_words),
        ]
        rows_behind = (f.header_words + (width // 2 - 1))[(width // 2).bit_length() - 1 :]
        m.d.sync += [
            self.header_valid.eq(p.valid),
            self.header.row.eq(f.header_row),
            self.header.words.eq(gate(~p.follower, f.header_words)),
            self.header.strip.eq(f.strip),
            self.header.offset.eq(p.offset_words),
            self.header.payload.eq(~n.empty),
            self.header.discard.eq(~p.alive),
            self.header.release.eq(n.last),
            self.header.release_row.eq(f.header_row + rows_behind),
            self.header.values.length.eq(p.length),
            self.header.values.id.eq(n.id),
            self.header.values.ip_checksum.eq(p.ip_checksum),
            self.header.values.sequence_high.eq(n.sequence[16:]),
            self.header.values.sequence_low.eq(n.sequence[:16]),
            self.header.values.tcp_flags.eq(n.tcp_flags),
            self.header.values.l4_checksum.eq(p.l4_checksum),
        ]
        m.d.sync += [
            self.payload_valid.eq(p.valid & n.summed),
            self.payload.lane.eq(n.lane),
            self.payload.length.eq(n.length),
            self.payload.offset.eq(Cat(Const(0, 1), p.payload_offset)[: (width - 1).bit_length()]),
            self.payload.keep.eq(n.keep),
            self.payload.discard.eq(~p.alive),
        ]

    def _count(self, m, p):
        f, n = p.f, p.n
        sent = p.valid & p.alive & n.last
        # a wrong length is found by the planner in the headers, or by the summer in the payload
        wrong = ~p.dropped & p.error & n.last
        reason = Mux(wrong, DropReason.BAD_LENGTH, f.reason)
        m.d.sync += self.reason.eq(gate(p.valid, reason))
        m.d.sync += [
            self.events[TxCounter.FRAMES_SENT].eq(sent),
            self.events[TxCounter.PACKETS_OUT].eq(p.valid & p.alive),
            self.events[TxCounter.UNPARSED].eq(sent & f.unparsed),
        ]
