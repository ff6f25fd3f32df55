"""Whose a packet is: the tables behind the outer parser."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.receive import RX_REASON_BITS, Encapsulation, RxReason
from hdl.registers.rx_tables import (
    ENTRIES,
    ENTRY_BITS,
    TERMINATE_TABLE,
    UPLINK_ROWS,
    UPLINKS_A_ROW,
    RxTable,
)
from hdl.registers.tables import VNET_BITS
from hdl.rx.layouts import OuterFacts, Termination
from hdl.rx.rows import ENTRY_ROW, RX_TABLE_WRITE, SETTINGS_ROW, UPLINK_ROW
from hdl.stream.paced_fifo import PACE
from hdl.stream.pipe import Pipe
from hdl.table.exact import PROBES, ExactMatch
from hdl.table.lookup import Lookup
from hdl.table.memory import table_memory

ANSWER = data.StructLayout(
    {"reason": RX_REASON_BITS, "vnet": VNET_BITS, "entry": ENTRY_BITS, "uniform": 1, "nvgre": 1, "tunnelled": 1}
)


class Terminate(wiring.Component):
    """(kind, local address, key) to an entry and its vnet; a bare frame's VLAN to a vnet.

    ::

        request ─┬─ VSID? ── hash ── TERMINATE ── ENTRY ─┬─ peer, rules ─┬─ reason, vnet ┐
                 │        └───────────────────── UPLINK ─┘               │               ├─ response
                 └───────────────────────────────────────────────────────┴───── outer ───┘

    The reason is the first that holds of: the parser's own, NOT_TERMINATED (no entry; no vnet for a bare frame),
    UNKNOWN_PEER, UDP_CHECKSUM_MISSING, the parser's GENEVE_CRITICAL, GRE_FLAGS. STT's frame header stands in its first
    fragment only: others are not looked up.

    Ports: streams `request` (`OuterFacts`) and `response` (`Termination`); `table` (whole rows) and `hold`, from
    `TableWriter`: no lookup begins while `hold` is 1, and those under way are over `latency` cycles later.
    Latency: `latency` + 2 cycles. Throughput: one lookup every `PACE[width]` cycles. Back-pressure: on `response`,
    holds `request`.
    Source: RFC 2890, RFC 7348, RFC 7637, RFC 8926, draft-davie-stt-08; IEEE 802.1Q.

    Parameters
    ----------
    width : bytes a beat of the path (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.exact = ExactMatch(TERMINATE_TABLE, probes=PROBES[width])
        self.latency = self.exact.latency + 7
        super().__init__(
            {
                "request": In(stream.Signature(OuterFacts)),
                "response": Out(stream.Signature(Termination)),
                "table": In(RX_TABLE_WRITE),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.exact = exact = self.exact
        m.submodules.lookup = lookup = Lookup(
            record=OuterFacts, answer=ANSWER, pace=PACE[self.width], latency=self.latency
        )
        settings = Signal(SETTINGS_ROW)
        with m.If(self.table.valid & (self.table.table == RxTable.SETTINGS)):
            m.d.sync += settings.eq(self.table.data)

        wiring.connect(m, wiring.flipped(self.request), lookup.i)
        m.d.comb += lookup.hold.eq(self.hold)
        pipe = Pipe(m, lookup.start, facts=self.request.p)
        pipe.step()

        gre = pipe.facts.kind == Encapsulation.GRE
        pipe.put(
            vsid=gre & settings.nvgre.bit_select(pipe.facts.local, 1),
            has_key=~gre | pipe.facts.has_key,
        )
        pipe.step()

        key = Mux(pipe.vsid, pipe.facts.key[8:32], pipe.facts.key)  # behind a VSID stands a FlowID
        m.d.comb += [
            exact.valid.eq(pipe.valid),
            exact.key.kind.eq(pipe.facts.kind),
            exact.key.local.eq(pipe.facts.local),
            exact.key.has_key.eq(pipe.has_key),
            exact.key.key.eq(gate(pipe.has_key, key)),
            exact.write.eq(self.table.valid & (self.table.table == RxTable.TERMINATE)),
            exact.row.eq(self.table.row),
            exact.entry.eq(self.table.data[: exact.entry.shape().size]),
        ]
        for _ in range(exact.latency):
            pipe.step()

        def read(name: str, table: RxTable, shape, rows: int, address):
            return table_memory(m, name, write=self.table, table=table, shape=shape, rows=rows, address=address)

        lane_bits = (UPLINKS_A_ROW - 1).bit_length()
        pipe.put(hit=exact.hit, number=exact.value.entry)
        entry = read("entries", RxTable.ENTRY, ENTRY_ROW, ENTRIES, pipe.number)
        uplink = read("uplinks", RxTable.UPLINK, UPLINK_ROW, UPLINK_ROWS, pipe.facts.vid[lane_bits:])
        pipe.step()
        pipe.put(entry=entry, uplinks=uplink.as_value())
        pipe.step()

        mine = pipe.uplinks.word_select(pipe.facts.vid[:lane_bits], 1 + VNET_BITS)
        tagged = pipe.facts.tagged & mine[0]
        differ = pipe.entry.remote ^ pipe.facts.source
        bare = pipe.facts.kind == Encapsulation.BARE
        pipe.put(
            bare=bare,
            asked=~bare & ((pipe.facts.kind != Encapsulation.STT) | pipe.facts.zero),
            known=tagged | settings.uplink_valid,
            uplink_vnet=Mux(tagged, mine[1:], settings.uplink_vnet),
            differ=Cat(differ[at : at + 8].any() for at in range(0, 128, 8)),
        )
        pipe.step()

        differs = pipe.differ[:4].any() | (pipe.facts.ipv6 & pipe.differ[4:].any())
        critical = pipe.facts.reason == RxReason.GENEVE_CRITICAL
        pipe.put(
            own=(pipe.facts.reason != RxReason.NONE) & ~critical,
            not_terminated=Mux(pipe.bare, ~pipe.known, pipe.asked & ~pipe.hit),
            unknown_peer=pipe.asked & pipe.entry.has_remote & differs,
            no_checksum=pipe.asked & pipe.entry.require_udp_checksum & ~pipe.facts.has_checksum,
            critical=critical,
            flags=pipe.asked & pipe.entry.nvgre & (pipe.facts.has_checksum | pipe.facts.has_sequence),
            vnet=Mux(pipe.bare, pipe.uplink_vnet, pipe.entry.vnet),
        )
        pipe.step()

        reason = Signal(RX_REASON_BITS)
        with m.If(pipe.own):
            m.d.comb += reason.eq(pipe.facts.reason)
        for name, value in (
            ("not_terminated", RxReason.NOT_TERMINATED),
            ("unknown_peer", RxReason.UNKNOWN_PEER),
            ("no_checksum", RxReason.UDP_CHECKSUM_MISSING),
            ("critical", RxReason.GENEVE_CRITICAL),
            ("flags", RxReason.GRE_FLAGS),
        ):
            with m.Elif(getattr(pipe, name)):
                m.d.comb += reason.eq(value)
        pipe.put(reason=reason)
        pipe.step()

        assert pipe.cycles == self.latency
        m.d.comb += [
            lookup.done.eq(pipe.valid),
            lookup.answer.reason.eq(pipe.reason),
            lookup.answer.vnet.eq(pipe.vnet),
            lookup.answer.entry.eq(pipe.number),
            lookup.answer.uniform.eq(pipe.entry.uniform),
            lookup.answer.nvgre.eq(pipe.entry.nvgre),
            lookup.answer.tunnelled.eq(~pipe.bare),
        ]

        found, response = lookup.o.p, self.response
        m.d.comb += [
            response.valid.eq(lookup.o.valid),
            lookup.o.ready.eq(response.ready),
            response.p.outer.eq(found.record),
            *[response.p[name].eq(found.answer[name]) for name in ANSWER.members],
        ]
        return m
