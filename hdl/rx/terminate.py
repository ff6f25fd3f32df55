"""Whose a packet is: the tables behind the outer parser."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.receive import RX_REASON_BITS, Encapsulation, RxReason
from hdl.registers.rx_tables import ENTRIES, TERMINATE_TABLE, UPLINK_ROWS, UPLINKS_A_ROW, RxTable
from hdl.registers.tables import VNET_BITS
from hdl.rx.layouts import Request, Termination
from hdl.rx.rows import ENTRY_ROW, RX_TABLE_WRITE, SETTINGS_ROW, UPLINK_ROW
from hdl.stream.paced_pipe import PacedPipe
from hdl.table.exact import PROBES, ExactMatch
from hdl.table.memory import table_memory

REQUEST_PACE = {8: 5, 16: 3, 32: 2, 64: 1}
"""Bytes a beat to cycles from one packet's request to the next's at least: up to the end of the outer headers."""


class Terminate(wiring.Component):
    """(kind, local address, key) to an entry and its vnet; a bare frame's VLAN to a vnet.

    ::

        request ─┬─ VSID? ── hash ── TERMINATE ── ENTRY ─┬─ vnet ── peer, rules ── reason ─── response
                 └── UPLINK ─────────────────────────────┘

    A packet is asked about while it is still arriving, so nobody waits for the answer. The reason is the first that
    holds of: NOT_TERMINATED (no entry; no vnet for a bare frame), UNKNOWN_PEER, UDP_CHECKSUM_MISSING, GRE_FLAGS.

    Tables are written between two lookups, a memory while nobody reads it; nothing is held back. A lookup sees at most
    one of two rows written `latency` cycles apart, as it was or as it is then.

    Ports: `request_valid`, `request` (at least `REQUEST_PACE[width]` cycles apart); `vnet_valid`, `vnet`,
    `vnet_latency` cycles later; `response_valid`, `response` (`Termination`), `latency` cycles later; `table` (whole
    rows). No ready anywhere.
    Source: RFC 2890, RFC 7348, RFC 7637, RFC 8926, draft-davie-stt-08; IEEE 802.1Q.

    Parameters
    ----------
    width : bytes a beat of the path (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.exact = ExactMatch(TERMINATE_TABLE, probes=PROBES[width])
        self.vnet_latency = self.exact.latency + 3
        self.latency = self.vnet_latency + 2
        super().__init__(
            {
                "request_valid": In(1),
                "request": In(Request),
                "vnet_valid": Out(1),
                "vnet": Out(VNET_BITS),
                "response_valid": Out(1),
                "response": Out(Termination),
                "table": In(RX_TABLE_WRITE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.exact = exact = self.exact
        table = self.table
        settings = Signal(SETTINGS_ROW)
        with m.If(table.valid & (table.table == RxTable.SETTINGS)):
            m.d.sync += settings.eq(table.data)

        def read(name: str, of: RxTable, shape, rows: int, address):
            return table_memory(
                m, name, write=table, table=of, shape=shape, rows=rows, address=address, reading=pipe.valid
            )

        lane_bits = (UPLINKS_A_ROW - 1).bit_length()
        pipe = PacedPipe(m, self.request_valid, pace=REQUEST_PACE[self.width], asks=self.request)
        uplink = read("uplinks", RxTable.UPLINK, UPLINK_ROW, UPLINK_ROWS, pipe.asks.vid[lane_bits:])
        gre = pipe.asks.kind == Encapsulation.GRE
        pipe.put(vsid=gre & settings.nvgre.bit_select(pipe.asks.local, 1), has_key=~gre | pipe.asks.has_key)
        pipe.step()

        key = Mux(pipe.vsid, pipe.asks.key[8:32], pipe.asks.key)  # behind a VSID stands a FlowID
        m.d.comb += [
            exact.valid.eq(pipe.valid),
            exact.key.kind.eq(pipe.asks.kind),
            exact.key.local.eq(pipe.asks.local),
            exact.key.has_key.eq(pipe.has_key),
            exact.key.key.eq(gate(pipe.has_key, key)),
            exact.write.eq(table.valid & (table.table == RxTable.TERMINATE)),
            exact.row.eq(table.row),
            exact.entry.eq(table.data[: exact.entry.shape().size]),
        ]
        pipe.put(uplinks=uplink.as_value())
        pipe.step()
        mine = pipe.uplinks.word_select(pipe.asks.vid[:lane_bits], 1 + VNET_BITS)
        tagged = pipe.asks.tagged & mine[0]
        pipe.put(
            known=tagged | settings.uplink_valid,
            uplink_vnet=Mux(tagged, mine[1:], settings.uplink_vnet),
            bare=pipe.asks.kind == Encapsulation.BARE,
        )
        while pipe.cycles < 1 + exact.latency:
            pipe.step()

        pipe.put(hit=exact.hit, number=exact.value.entry)
        entry = read("entries", RxTable.ENTRY, ENTRY_ROW, ENTRIES, pipe.number)
        pipe.step()
        pipe.put(entry=entry)
        pipe.step()

        differ = pipe.entry.remote ^ pipe.asks.source
        pipe.put(
            vnet=Mux(pipe.bare, pipe.uplink_vnet, pipe.entry.vnet),
            differ=Cat(differ[at : at + 8].any() for at in range(0, 128, 8)),
        )
        assert pipe.cycles == self.vnet_latency
        m.d.comb += [self.vnet_valid.eq(pipe.valid), self.vnet.eq(pipe.vnet)]
        pipe.step()

        asks = pipe.asks
        differs = pipe.differ[:4].any() | (asks.ipv6 & pipe.differ[4:].any())
        pipe.put(
            not_terminated=Mux(pipe.bare, ~pipe.known, asks.asked & ~pipe.hit),
            unknown_peer=asks.asked & pipe.entry.has_remote & differs,
            no_checksum=asks.asked & pipe.entry.require_udp_checksum & ~asks.has_checksum,
            flags=asks.asked & pipe.entry.nvgre & (asks.has_checksum | asks.has_sequence),
        )
        pipe.step()

        assert pipe.cycles == self.latency
        reason = Signal(RX_REASON_BITS)
        with m.If(pipe.not_terminated):
            m.d.comb += reason.eq(RxReason.NOT_TERMINATED)
        with m.Elif(pipe.unknown_peer):
            m.d.comb += reason.eq(RxReason.UNKNOWN_PEER)
        with m.Elif(pipe.no_checksum):
            m.d.comb += reason.eq(RxReason.UDP_CHECKSUM_MISSING)
        with m.Elif(pipe.flags):
            m.d.comb += reason.eq(RxReason.GRE_FLAGS)
        response = self.response
        m.d.comb += [
            self.response_valid.eq(pipe.valid),
            response.reason.eq(reason),
            response.vnet.eq(pipe.vnet),
            response.entry.eq(pipe.number),
            response.uniform.eq(pipe.entry.uniform),
            response.nvgre.eq(pipe.entry.nvgre & ~pipe.bare),  # a bare packet has read some row too
        ]
        return m
