"""TCP segments of a flow become one frame again."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.sum16 import fold, plus, running
from hdl.parse.pipe import at_least
from hdl.registers.receive import ChecksumStatus
from hdl.rx.coalesce.decide import END, Decide
from hdl.rx.coalesce.finish import Finish
from hdl.rx.coalesce.paced_slots import PacedSlots
from hdl.rx.coalesce.records import ENDING, TIME_BITS, event_layout
from hdl.rx.coalesce.rows import HeaderRows
from hdl.rx.coalesce.slots import Slots
from hdl.rx.layouts import HANDLE_BITS, MERGED_BYTES, VNET_BITS, Completion, PlaceRecord, RxPacket
from hdl.rx.slots import MOST_SLOTS
from hdl.stream.paced_pipe import PacedPipe
from hdl.stream.small_fifo import SmallFifo

PACE = {8: 6, 16: 3, 32: 2, 64: 1}
FIN, SYN, RST, PSH, URG, CWR = 0, 1, 2, 3, 5, 7  # bits of the TCP flags
IPV4_WORDS = 10  # of a header without options
LOOKUP = 2  # stage


class Coalesce(wiring.Component):
    """Put TCP segments of a flow together in one host buffer, by the kernel's rules.

    ::

        header rows ────────────────────────── compare ─┐
        packet ─┬─ facts ─ slot of its flow ─ registers ┴─ decide ─┬─ place
        scanner ┘                                                  └─ finish ─ completion
                                                 runs: 1 a slot ──┘

        A0 B0 A1 A2' B1     place      A0 whole, B0 whole, A1's payload behind A0, A2's behind that, B1's behind B0
                            completion A0-A2 with A2' (it has FIN or PSH, or is short)

    No payload stays on the card: each packet's bytes go to where they will be read, and what a run needs to know is in
    a row of its slot. All that is no TCP segment, or must not be merged, gets a buffer of its own. A run ends when a
    packet of its flow does not go on with it, with FIN, PSH or a short segment, when its slot goes to another flow
    (see `Slots`), after `idle` ticks without a packet, and with `flush`. A slot's flow is its tag, a hash: two flows
    with one tag end each other's runs, and are never mixed, because the headers are compared.

    Ports: `row_valid`, `row`, `row_first`, `row_commit`, `row_count`, `row_space`: masked header rows (`HeaderRows`).
    Each packet of `packet` has had `inner.rows` rows in front of it that were committed, in the same order; a packet
    that does not come here commits none. Masked (zero) are: all that `sim.model.coalesce.rules.common` sets to 0, the
    TOS or class, and what lies behind the headers.
    `packet` (`RxPacket`), `buffer` (handles); `now` and `idle` (ticks), `flush` (end all runs), `quota` (slots of a
    vnet); `place_valid`, `place`, `place_go`; `completion_valid`, `completion`, `completion_go`; `held`, `open`:
    packets in open runs, and open runs.

    Latency: `latency` cycles from `packet` to `place`, and up to 15 more for the rows of its headers; to `completion`
    at least 9 more. Throughput: a packet every `PACE[width]` cycles, or as many as it has header rows if these are
    more. Back-pressure: `place_margin` records may come after `place_go` has fallen, and `completion_margin`
    completions after `completion_go`. Without a handle on `buffer` a packet that needs one is dropped (NO_BUFFER).

    Source: Linux's inet_gro_receive, tcp_gro_receive and tcp_gro_complete; RFC 1624.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    slots : flows that are known at a time, a power of two
    row_margin : header rows that must be free for `row_space`
    """

    def __init__(self, width: int, slots: int, *, row_margin: int = 160):
        if width not in PACE:
            raise ValueError(f"width is {width} bytes a beat; it must be one of {tuple(PACE)}")
        self.width, self.slots, self.pace = width, slots, PACE[width]
        pace = self.pace
        self.rows = HeaderRows(width, slots=slots, margin=row_margin, late=pace > 1)
        # a TCP header has seven rows of 8 bytes at least, so these lookups are seven cycles apart
        paced = width == 8 and slots <= MOST_SLOTS
        self.finder = PacedSlots(slots=slots) if paced else Slots(pace=pace, slots=slots)
        self.decide = Decide(pace=pace, slots=slots)
        self.finish = Finish(pace=max(pace // 2, 1))
        self.latency = LOOKUP + self.finder.latency + 1 + pace - 1 + END + 1
        # what was taken before a `go` fell, two cycles of its way included
        self.place_margin = -(-(self.latency + 16) // pace) + 4
        self.completion_margin = 2 * self.place_margin + 8 if pace > 1 else Finish.LATENCY + 6
        super().__init__(
            {
                "row_valid": In(1),
                "row": In(8 * width),
                "row_first": In(1),
                "row_commit": In(1),
                "row_count": In(5),
                "row_space": Out(1),
                "packet": In(stream.Signature(RxPacket)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "now": In(TIME_BITS),
                "idle": In(TIME_BITS),
                "flush": In(1),
                "quota": In(range(slots + 1), init=slots),
                "place_valid": Out(1),
                "place": Out(PlaceRecord),
                "place_go": In(1),
                "completion_valid": Out(1),
                "completion": Out(Completion),
                "completion_go": In(1),
                "held": Out(24),
                "open": Out(range(slots + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = self.rows
        m.submodules.slots = self.finder
        m.submodules.decide = self.decide
        m.submodules.finish = self.finish
        room = Signal()
        event = self._event(m, self._accept(m, room))
        self._walk(m, event)
        self._complete(m, room)
        decide = self.decide
        m.d.comb += [
            decide.idle.eq(self.idle),
            self.place_valid.eq(decide.place_valid),
            self.place.eq(decide.place),
            self.held.eq(decide.held),
            self.open.eq(decide.open),
        ]
        wiring.connect(m, wiring.flipped(self.buffer), decide.buffer)
        return m

    def _accept(self, m: Module, room) -> PacedPipe:
        """A packet, or in an idle cycle the next slot for the scanner; not before the one in front has had its time."""
        pause, rested = Signal(5), Signal(init=1)  # cycles until the next one, and that it may come
        go, may, some, scans, scanned = Signal(), Signal(), Signal(), Signal(), Signal()
        slot = Signal(range(self.slots))
        take, scan = Signal(), Signal()
        m.d.comb += [
            go.eq(rested & may),
            scans.eq(some & (~self.packet.valid | (self.flush & ~scanned))),
            self.packet.ready.eq(go & ~scans),
            take.eq(go & ~scans & self.packet.valid),
            scan.eq(go & scans),
        ]
        m.d.sync += some.eq(self.open != 0)
        m.d["sync" if self.pace > 1 else "comb"] += may.eq(self.place_go & room & self.finder.ready & self.decide.ready)
        self.taken = go & (self.packet.valid | some)  # `take` or `scan`
        rows = self.packet.p.inner.rows
        cycles = Mux(take & (rows > self.pace), rows - 1, self.pace - 1)[:5]
        with m.If(self.taken):
            m.d.sync += [pause.eq(cycles), rested.eq(cycles == 0), scanned.eq(scan), slot.eq(slot + scan)]
        with m.Elif(~rested):
            m.d.sync += [pause.eq(pause - 1), rested.eq(pause == 1)]
        return PacedPipe(
            m,
            self.taken,
            pace=self.pace,
            k=self.packet.p,
            packet=take,
            scanned=slot,
            cycles_left=cycles,
            now=self.now,
            flush=self.flush,
        )

    def _event(self, m: Module, p: PacedPipe):
        """All that follows from the packet alone, and its slot."""
        p.step()
        k, i = p.k, p.k.inner
        v4 = ~i.ipv6
        tos_word = Mux(i.ipv6, Cat(i.tos_word[:4], k.tos, i.tos_word[12:]), Cat(k.tos, i.tos_word[8:]))
        header_bytes = Cat(C(0, 1), i.header_words)
        flags = i.tcp_flags
        p.put(
            tcp=p.packet & i.tcp & (k.reason == 0),
            bad=(i.l4_status != ChecksumStatus.GOOD) | (v4 & (i.ip_status != ChecksumStatus.GOOD)),
            odd=i.padded | (v4 & i.fragment_word[15]) | flags[SYN] | flags[RST] | flags[URG] | flags[CWR],
            options=v4 & ((i.l4 - i.l3)[:9] != IPV4_WORDS),
            empty=~i.payload.any(),
            far=at_least(i.header_words, MERGED_BYTES // 2 + 1),
            computed=~i.l4_checksum.all() & ~(v4 & i.ip_checksum.all() & ~k.tos_patch),
            sum_low=i.sequence[:16] + i.payload[:14],
            behind=k.lane + header_bytes,
            outer_length=(k.outer_bytes + k.length)[:16],
            tos_word=tos_word,
            s_tos=plus(running(~i.ip_checksum), ~i.tos_word),
            tag=_tag(k),
            keeps=(k.reason == 0),
        )
        p.step()
        assert p.cycles == LOOKUP
        p.put(
            merge=p.tcp & ~p.bad & ~p.odd & ~p.options & ~p.empty & ~p.far & p.computed,
            following=Cat(p.sum_low[:16], (p.k.inner.sequence[16:] + p.sum_low[16])[:16]),
            payload_row=(p.k.row + p.behind[exact_log2(self.width) :])[:16],
            s_tos=plus(p.s_tos, p.tos_word),
        )
        slots = self.finder
        m.d.comb += [
            slots.valid.eq(p.valid & p.tcp),
            slots.tag.eq(p.tag),
            slots.kind.eq(p.k.vnet),
            slots.insert.eq(p.merge),
            slots.quota.eq(self.quota),
        ]
        p.step()
        p.put(s_tos=~fold(p.s_tos))
        while p.cycles < LOOKUP + slots.latency:
            p.step()

        k, i = p.k, p.k.inner
        patched = k.tos_patch & p.keeps
        values = {
            "packet": p.packet,
            "flush": p.flush,
            "reason": k.reason,
            "slow": k.slow,
            "merge": p.merge,
            "touch": p.merge | (p.tcp & slots.found) | ~p.packet,
            "found": slots.found,
            "slot": Mux(p.packet, slots.slot, p.scanned),
            "now": p.now,
            "row": k.row,
            "lane": k.lane,
            "length": k.length,
            "payload_row": p.payload_row,
            "payload_lane": p.behind[: exact_log2(self.width)],
            "release_row": k.release_row,
            "sequence": i.sequence,
            "following": p.following,
            "id": i.id,
            "df": i.fragment_word[14],
            "ends": Cat(i.tcp_flags[FIN], i.tcp_flags[PSH]),
            "payload": i.payload,
            "used": p.outer_length,
            "origin": k.origin,
            "options": k.options,
            "tos": k.tos,
            "rows": i.rows,
            "cycles": p.cycles_left,
            "ip_status": Mux(p.keeps, i.ip_status, ChecksumStatus.NONE),
            "l4_status": Mux(p.keeps, i.l4_status, ChecksumStatus.NONE),
        }
        first = {
            "entry": k.entry,
            "tunnelled": k.tunnelled,
            "to": k.to,
            "l3": i.l3,
            "l4": i.l4,
            "ipv6": i.ipv6,
            "tos_patch": patched,
            "tos_word": p.tos_word,
            "ip_checksum": p.s_tos,
            "ip_length": i.ip_length,
            "tcp_flags": i.tcp_flags,
            "pseudo": i.pseudo,
            "vnet": k.vnet,
            "hash": i.hash,
        }
        event = Signal(event_layout(self.slots), reset_less=True)
        with m.If(p.valid):
            m.d.sync += [event[name].eq(value) for name, value in values.items()]
            m.d.sync += [event.first[name].eq(value) for name, value in first.items()]
        p.step()
        m.d.comb += self.rows.start.eq(p.valid & event.packet)
        self.start = p.valid
        return event

    def _walk(self, m: Module, event) -> None:
        """An event is decided when its packet's rows have been taken."""
        waits, left, following = Signal(), Signal(5), Signal(5)
        inside = self.start | waits
        strobe = inside & (left == 0)
        m.d.comb += left.eq(Mux(self.start, event.cycles, following))
        m.d.sync += [waits.eq(inside & ~strobe), following.eq(left - 1)]
        rows, decide = self.rows, self.decide
        m.d.comb += [
            rows.count.eq(event.rows),
            rows.slot.eq(event.slot),
            rows.store.eq(event.merge),
            rows.row_valid.eq(self.row_valid),
            rows.row.eq(self.row),
            rows.row_first.eq(self.row_first),
            rows.row_commit.eq(self.row_commit),
            rows.row_count.eq(self.row_count),
            self.row_space.eq(rows.space),
            decide.valid.eq(strobe),
            decide.soon.eq(inside & (left == 1)),
            decide.event.eq(event),
            decide.differs.eq(rows.differs),
        ]

    def _complete(self, m: Module, room) -> None:
        """One completion after the other: first the run that was ended, then what ended it."""
        decide, finish = self.decide, self.finish
        m.d.sync += [
            self.completion_valid.eq(finish.o_valid),
            self.completion.eq(finish.o),
        ]
        if self.pace > 1:
            m.d.comb += [
                room.eq(self.completion_go),
                finish.i_valid.eq(decide.ending_valid),
                finish.i.eq(decide.ending),
            ]
            return
        pair = data.StructLayout({"broken_valid": 1, "broken": ENDING, "own_valid": 1, "own": ENDING})
        m.submodules.pairs = pairs = SmallFifo(shape=pair, depth=32)
        second = Signal()  # the pair's first completion has gone
        both, own = Signal(), Signal()
        top = pairs.o.p
        m.d.comb += [
            room.eq(pairs.room),
            pairs.reserve.eq(self.taken),
            pairs.write.eq(decide.done),
            pairs.i.broken_valid.eq(decide.broken_valid),
            pairs.i.broken.eq(decide.broken),
            pairs.i.own_valid.eq(decide.ending_valid),
            pairs.i.own.eq(decide.ending),
            both.eq(top.broken_valid & top.own_valid),
            own.eq(second | ~top.broken_valid),
            finish.i_valid.eq(pairs.o.valid & self.completion_go & (top.broken_valid | top.own_valid)),
            finish.i.eq(Mux(own, top.own, top.broken)),
            pairs.o.ready.eq(self.completion_go & (second | ~both)),
        ]
        with m.If(pairs.o.valid & self.completion_go):
            m.d.sync += second.eq(both & ~second)


def _tag(k):
    """What tells flows apart: connection, tunnel, vnet, Ethernet header; nothing that may change within a flow."""
    mac = k.inner.dst_mac
    spread = Cat(mac[32:48] ^ k.inner.link, k.inner.pseudo)
    return k.inner.hash ^ k.origin ^ mac[:32] ^ spread ^ Cat(C(0, 22), k.vnet, C(0, 32 - 22 - VNET_BITS))
