"""The outer parser: packets off the wire in; beats, chunks and facts out."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.protocol import TCP, UDP
from hdl.net.sum16 import fold
from hdl.parse.ethernet import count_beats, ethernet
from hdl.parse.pipe import BeatPipe, at_least
from hdl.registers.receive import Encapsulation, RxReason
from hdl.rx.layouts import LENGTH_BITS, LONGEST, OuterFacts, Request, SttChunk, rx_beat
from hdl.rx.outer.chunks import chunk_marks, chunks_near, leave_chunks
from hdl.rx.outer.network import FOLD_WRITE, LOCAL_WRITE, local, network
from hdl.rx.outer.options import OPTION_WRITE, options, straight
from hdl.rx.outer.sums import masks, sums
from hdl.rx.outer.tunnel import (
    ACK,
    ETHERNET_OVER_GRE,
    FIN_SYN_RST_ACK,
    STT_HEADER,
    first_of,
    headers,
    kind,
    pairs_at,
    start,
    tunnel,
)
from hdl.stream.beat import wire_beat
from hdl.stream.paced_fifo import PACKET_PACE

SMALLEST, TAGGED = 14, 18  # bytes of a packet; of one with a tag
TOTAL_BITS = 15
ROW_BYTES_BITS = 17  # of the byte at which a row begins


class OuterParse(wiring.Component):
    """Finds out what a packet is, as its beats pass.

    ::

        i       │ e e e e │ e e o o │ o o t t │ t i i i │ i i i i, last │
        beat    │ e e e e │ e e o o │ o o t t │ t i i i │ i i i i │          with `switch` where an inner frame begins
        request                                 │ one │                      with that beat, or the last
        chunk                                                 │ one or more, of an STT fragment │
        facts                                                                │ one │

        ethernet ─ network ─┬─ local ──┬─ tunnel ─┬─ options ──────────────────┐
                            └─ headers ┘          ├─ masks ─ sums ─ checksums ─┴─ chunk, facts
                                                  └─ start ─┬─ beat
                                                            └─ request

    No length is known before the packet's end, so nothing is decided from one before; what must leave earlier
    (chunks of STT fragments) says at the end whether it was true.

    Reasons come in the order in which a receiver looks: the outer IP header, fragments, the tunnel's header, its
    checksum, what is inside. GENEVE_CRITICAL gives way to what the tables say.

    Ports: `i_valid`, `i` (`wire_beat`); `beat_valid`, `beat` (`rx_beat`); `request_valid`, `request` (`Request`; behind
    it nothing comes of a packet that would change it); `chunk_valid`, `chunk` (`SttChunk`), `chunk_soon`: one may come
    in the next cycles; `order_valid`, `order`: one bit a packet, 1: it comes as chunks; `facts_valid`, `facts`
    (`OuterFacts`); `local_write`, `folds_write`, `options_write` (rows of the tables LOCAL, FOLD and OPTION). No ready
    anywhere. Beats may have gaps. The last beats of two packets are `PACKET_PACE[width]` cycles apart at least.
    Latency: `latency` cycles from a beat to the same beat, `request_latency` to its request, `facts_latency` from the
    last beat to facts and chunks.
    Throughput: one beat a cycle.
    Standards: IEEE 802.1Q, RFC 791, RFC 8200, RFC 768, RFC 2784, RFC 2890, RFC 7637, RFC 7348, RFC 8926,
    draft-davie-stt.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.latency = 12
        self.request_latency = self.latency + 2
        self.facts_latency = 20 + (width // 2 - 1).bit_length()
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(wire_beat(width)),
                "beat_valid": Out(1),
                "beat": Out(rx_beat(width)),
                "request_valid": Out(1),
                "request": Out(Request),
                "chunk_valid": Out(1),
                "chunk": Out(SttChunk),
                "chunk_soon": Out(1),
                "order_valid": Out(1),
                "order": Out(1),
                "facts_valid": Out(1),
                "facts": Out(OuterFacts),
                "local_write": In(LOCAL_WRITE),
                "folds_write": In(FOLD_WRITE),
                "options_write": In(OPTION_WRITE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = self._enter(m)
        chunk_marks(pipe.fork())
        ethernet(pipe)
        network(pipe)
        local(pipe.fork(), self.local_write, self.folds_write)
        headers(pipe)
        count(pipe.fork())
        tunnel(pipe)
        pairs_at(pipe.fork(), pipe.body, 4, "f")
        pipe.step()
        options(pipe.fork(), self.options_write)
        summed = pipe.fork()
        masks(summed)
        start(pipe)
        assert pipe.stage + 1 == self.latency, f"latency is {pipe.stage + 1}"
        self._beats(pipe)
        self._request(pipe.fork(pipe.stage + 1))
        chunks_near(pipe.fork(), self)
        sums(summed)
        beats = pipe.fork()
        pipe.conclude("mark")
        self._lengths(pipe.fork())
        pipe.stage = summed.stage
        self._checksums(pipe)
        beats.stage = pipe.stage
        chunks = pipe.fork()
        self._reasons(pipe)
        leave_chunks(chunks, beats, self)
        self._facts(pipe, beats)
        assert pipe.stage + 2 == self.facts_latency, f"latency of facts is {pipe.stage + 2}"  # a register on each side
        return m

    def _enter(self, m: Module) -> BeatPipe:
        """Zeros behind the packet's end; which beats are first; 1 cycle."""
        i, width = self.i, self.width
        first, valid = Signal(init=1), Signal()
        beat = Signal(data.StructLayout({"data": 8 * width, "first": 1, "last": 1, "bytes": range(width + 1)}))
        kept = Cat(Mux(i.bytes > n, i.data[8 * n : 8 * n + 8], 0) for n in range(width))
        m.d.sync += [
            valid.eq(self.i_valid),
            beat.data.eq(kept),
            beat.first.eq(first),
            beat.last.eq(i.last),
            beat.bytes.eq(i.bytes),
        ]
        with m.If(self.i_valid):
            m.d.sync += first.eq(i.last)
        meta = Signal(data.StructLayout({"length": 17}), init={"length": (1 << 17) - 1})  # no length is known here
        return BeatPipe(
            m,
            width=width,
            valid=valid,
            first=beat.first,
            last=beat.last,
            data=beat.data,
            bytes=beat.bytes,
            meta=meta,
            pace=PACKET_PACE[width],
        )

    def _beats(self, pipe: BeatPipe) -> None:
        bits = (self.width - 1).bit_length()
        pipe.m.d.comb += [
            self.beat_valid.eq(pipe.valid),
            self.beat.data.eq(pipe.data),
            self.beat.first.eq(pipe.first),
            self.beat.last.eq(pipe.last),
            self.beat.bytes.eq(pipe.bytes),
            self.beat.switch.eq(pipe.switch),
            self.beat.lane.eq(pipe.start[:bits]),
            self.beat.length.eq(pipe.length),
        ]

    def _request(self, pipe: BeatPipe) -> None:
        """Ask the tables, as soon as it is known what to ask; registered."""
        m, record = pipe.m, Signal(Request, reset_less=True)
        asked = Signal()  # about this packet
        may = pipe.switch | pipe.last
        with m.If(pipe.valid):
            m.d.sync += asked.eq(may | (asked & ~pipe.first))
        gre, gre_key, number = pipe.is_gre, Mux(pipe.h_0[31], pipe.h_2, pipe.h_1), kind(pipe)
        values = {
            "kind": number,
            "asked": Mux(pipe.is_stt, pipe.stt_zero, number != Encapsulation.BARE),
            "local": pipe.local,
            "source": Cat(pipe.source_3, pipe.source_2, pipe.source_1, pipe.source_0),
            "ipv6": pipe.ipv6,
            "has_key": Mux(gre, pipe.h_0[29], pipe.udp_tunnel | pipe.is_stt),
            "key": Mux(gre, gre_key, Mux(pipe.is_stt, Cat(pipe.f_3, pipe.f_2), pipe.h_3[8:])),
            "has_checksum": Mux(gre, pipe.h_0[31], pipe.udp_tunnel & pipe.h_1[:16].any()),
            "has_sequence": gre & pipe.h_0[28],
            "tagged": ~pipe.place[0] & at_least(pipe.total, TAGGED),
            "vid": pipe.vid,
        }
        m.d.sync += self.request_valid.eq(pipe.valid & may & (pipe.first | ~asked))
        m.d.sync += [getattr(record, name).eq(value) for name, value in values.items()]
        m.d.comb += self.request.eq(record)
        pipe.step()
        assert pipe.stage + 1 == self.request_latency, f"latency of requests is {pipe.stage + 1}"

    def _lengths(self, pipe: BeatPipe) -> None:
        """Where headers end against where packets do; 3 stages."""
        l4 = pipe.l4
        pipe.put(
            l4_length=(pipe.end - l4)[:16],
            room=(pipe.ip_end - l4)[:18],  # bytes behind the IP header, signed
            past_packet=pipe.ip_end > pipe.total,
            headers_here=pipe.data_at <= pipe.total,
            is_fragment=pipe.is_fragment & (pipe.ipv4 | (pipe.fragment_end <= pipe.total)),
            past_ip=pipe.end > pipe.ip_end,
            body_past=pipe.data_at > pipe.end,
            data_size=(pipe.ip_end - pipe.data_at)[:17],
            runt=pipe.total < SMALLEST,
            oversize=pipe.total > LONGEST,
        )
        pipe.step()
        udp_length = pipe.h_1[16:]
        protocol = Mux(pipe.udp_tunnel, Const(UDP, 6), Const(TCP, 6))
        pipe.put(
            pseudo_sum=Mux(pipe.is_gre, 0, pipe.l4_length + protocol)[:17],
            least_4=~pipe.room[17] & pipe.room[2:17].any(),
            least_8=~pipe.room[17] & pipe.room[3:17].any(),
            least_20=~pipe.room[17] & (pipe.room[5:17].any() | (pipe.room[2:5] >= 5)),
            udp_8=udp_length[3:].any(),
            udp_16=udp_length[4:].any(),
            fragment_end_at=(Cat(pipe.h_1[:16], Const(0, 1)) + pipe.data_size)[:17],
            total_small=pipe.h_1[16:] < STT_HEADER + SMALLEST,
        )
        pipe.step()
        pipe.put(
            beyond_total=pipe.fragment_end_at > pipe.h_1[16:],
            size_small=~pipe.data_size[16] & (pipe.data_size < STT_HEADER),
            offset_small=pipe.h_1[:16] < STT_HEADER,
            size_giant=pipe.data_size[LENGTH_BITS:].any(),
        )
        pipe.step()

    def _checksums(self, pipe: BeatPipe) -> None:
        """The outer checksums; 2 stages."""
        pipe.put(
            # a running sum that is 0xFFFF, with or without its last carry
            header_good=pipe.ipv6 | _all_ones(pipe.total_header),
            sum_bytes=fold(pipe.total_bytes),
            with_pseudo=pipe.total_covered + pipe.pseudo_sum,
        )
        pipe.step()
        pipe.put(l4_good=_all_ones(pipe.with_pseudo))
        pipe.step()

    def _reasons(self, pipe: BeatPipe) -> None:
        """Why the packet is not delivered, as far as it has come; 2 stages."""
        flags = pipe.h_0[16:]
        gre = first_of(
            (~pipe.least_4, RxReason.OUTER_LENGTH),
            (flags[:3].any(), RxReason.GRE_VERSION),
            (flags[14] | flags[11] | flags[10], RxReason.GRE_FLAGS),
            (pipe.body_past, RxReason.OUTER_LENGTH),
            (flags[15] & ~pipe.l4_good, RxReason.GRE_CHECKSUM),
            (pipe.h_0[:16] != ETHERNET_OVER_GRE, RxReason.NOT_TERMINATED),
        )
        udp = first_of(
            (~pipe.least_8 | ~pipe.udp_8 | pipe.past_ip, RxReason.OUTER_LENGTH),
            (pipe.h_1[:16].any() & ~pipe.l4_good, RxReason.UDP_CHECKSUM),
            (~pipe.udp_16, RxReason.OUTER_LENGTH),
        )
        geneve = first_of(
            (pipe.h_2[30:32].any(), RxReason.GENEVE_VERSION),
            (pipe.body_past, RxReason.OUTER_LENGTH),
            (pipe.option_left.any(), RxReason.GENEVE_OPTIONS),
            (pipe.h_2[23], RxReason.GENEVE_CONTROL),
            (pipe.h_2[:16] != ETHERNET_OVER_GRE, RxReason.NOT_TERMINATED),
            (pipe.critical, RxReason.GENEVE_CRITICAL),
        )
        stt_length = ~pipe.least_20 | (pipe.h_3[28:32] < 5) | pipe.body_past
        frame = first_of(
            (pipe.size_giant, RxReason.OUTER_LENGTH),  # or OVERSIZE, as the verdict will say
            (~pipe.data_size.any(), RxReason.STT_EMPTY),
            (pipe.total_small | pipe.beyond_total, RxReason.STT_LENGTH),
            (Mux(pipe.stt_zero, pipe.size_small, pipe.offset_small), RxReason.STT_HEADER),
            (pipe.stt_zero & pipe.f_0[24:].any(), RxReason.STT_VERSION),
            (pipe.stt_zero & pipe.f_0[16] & pipe.f_0[17], RxReason.STT_FLAGS),
        )
        tunnel_packet = pipe.is_gre | pipe.udp_tunnel | pipe.is_stt | pipe.is_fragment
        sound = ~pipe.too_short & pipe.header_good & ~pipe.is_fragment
        pipe.put(
            gre_reason=gre,
            udp_reason=udp,
            geneve_reason=geneve,
            vxlan_reason=Mux(pipe.h_2[27], Const(0, 6), RxReason.VXLAN_FLAGS),
            frame_reason=frame,
            stt_reason=first_of(
                (stt_length, RxReason.OUTER_LENGTH),
                (~pipe.l4_good, RxReason.STT_CHECKSUM),
                (pipe.h_3[16:24] & FIN_SYN_RST_ACK != ACK, RxReason.NOT_TERMINATED),
            ),
            outer_reason=first_of(
                (pipe.too_short | pipe.past_packet, RxReason.OUTER_LENGTH),
                (~pipe.header_good, RxReason.IP_CHECKSUM),
                (pipe.is_fragment, RxReason.OUTER_FRAGMENT),
                (~pipe.terminated, RxReason.NOT_TERMINATED),
            ),
            tunnel_packet=tunnel_packet,
            as_chunks=pipe.is_stt
            & pipe.terminated
            & sound
            & ~stt_length
            & pipe.headers_here
            & (pipe.h_3[16:24] & FIN_SYN_RST_ACK == ACK),
        )
        pipe.step()
        inside = Mux(
            pipe.is_gre,
            pipe.gre_reason,
            Mux(
                pipe.is_stt,
                pipe.stt_reason,
                Mux(
                    pipe.udp_reason != 0,
                    pipe.udp_reason,
                    Mux(pipe.is_geneve, pipe.geneve_reason, Mux(pipe.is_vxlan, pipe.vxlan_reason, 0)),
                ),
            ),
        )
        tunnel_reason = Mux(pipe.outer_reason != 0, pipe.outer_reason, inside)
        pipe.put(
            reason=Mux(
                pipe.runt,
                RxReason.RUNT,
                Mux(pipe.oversize, RxReason.OVERSIZE, Mux(pipe.tunnel_packet, tunnel_reason, 0)),
            )[:6],
            verdict=Mux(
                pipe.oversize,
                RxReason.OVERSIZE,
                Mux(pipe.past_packet, RxReason.OUTER_LENGTH, Mux(pipe.l4_good, 0, RxReason.STT_CHECKSUM)),
            )[:6],
            kind=kind(pipe),
            options=Mux(pipe.is_geneve, straight(pipe) ^ pipe.h_2[24:30], 0),
        )
        pipe.step()

    def _facts(self, pipe: BeatPipe, beats: BeatPipe) -> None:
        """One record a packet, behind its last beat; registered."""
        bare = pipe.kind == Encapsulation.BARE
        framed = pipe.is_gre | pipe.udp_tunnel | pipe.is_stt
        facts = {
            "tunnelled": ~bare,
            "reason": Mux(pipe.chunked, 0, pipe.reason),
            "row": pipe.packet_row,
            "end_row": pipe.row_behind,
            "length": Mux(pipe.total[14], (1 << 14) - 1, pipe.total[:14]),
            "start": Mux(bare, 0, pipe.start),
            "l3": pipe.l3,
            "chunked": pipe.chunked,
            "inner_length": Mux(framed & pipe.tunnelled, pipe.length, pipe.total),
            "origin": pipe.source_0 ^ pipe.source_1 ^ pipe.source_2 ^ pipe.source_3,
            "options": pipe.options,
            "tos": pipe.tos,
            "zero": pipe.stt_zero,
        }
        stt = {
            "partial": pipe.f_0[17],
            "mss": pipe.f_1[16:],
            "tagged": pipe.f_1[12],
            "tci": Cat(pipe.f_1[:12], Const(0, 1), pipe.f_1[13:16]),
        }
        record = Signal(OuterFacts, reset_less=True)
        m = pipe.m
        m.d.sync += self.facts_valid.eq(pipe.valid & beats.last)
        m.d.sync += [getattr(record, name).eq(value) for name, value in facts.items()]
        m.d.sync += [getattr(record.stt, name).eq(value) for name, value in stt.items()]
        m.d.comb += self.facts.eq(record)


def _all_ones(total):
    """Whether a sum of 16-bit words that has not been folded comes to 0xFFFF, other than from nothing."""
    low, high = total[:16], total[16:]
    return low[len(high) :].all() & (low[: len(high)] == ~high)


def count(pipe: BeatPipe) -> None:
    """Count anew, rather than delay: `index` and `beat_is`, `row` and `total` (bytes so far); 1 stage."""
    count_beats(pipe)
    bits = (pipe.width - 1).bit_length()
    row = pipe.state("row", ROW_BYTES_BITS - bits)
    again = row.all()  # far behind the end of what may be taken: eight numbers, over and over
    with pipe.m.If(pipe.valid):
        pipe.m.d.sync += row.eq(Mux(pipe.first, 0, Mux(again, row - 7, row + 1)))
    pipe.step()
    top = TOTAL_BITS - 1 - bits
    rows = (pipe.row[:top] + pipe.bytes[bits])[: top + 1]
    pipe.put(total=Cat(pipe.bytes[:bits], rows[:top], rows[top] | pipe.row[top:].any()))
    beat, lane = divmod(7, pipe.lanes)
    pipe.keep(pipe.beat_is[beat], since_beat=beat, vid=pipe.words()[lane][:12])
