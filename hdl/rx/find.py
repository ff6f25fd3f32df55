"""Which vport of a vnet has a frame's destination address."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.rx_tables import DESTINATION_TABLE, RxTable
from hdl.registers.tables import VNET_BITS
from hdl.rx.layouts import Destination
from hdl.rx.rows import RX_TABLE_WRITE
from hdl.stream.quick_fifo import QuickFifo
from hdl.table.exact import PROBES, ExactMatch

GROUP_BIT = 40  # of a MAC address, first byte most significant: multicast or broadcast
WAITING = {8: 16, 16: 16, 32: 32, 64: 64}  # addresses and vnets that may wait for each other, by bytes a beat


class Find(wiring.Component):
    """(vnet, destination MAC) to a vport.

    ::

        vnet ──> [ fifo ] ─┐                                          in the order of the packets
        mac  ──> [ fifo ] ─┴─ hash ── DESTINATION ── o

    This is asked when a packet comes, and its answer, a few bits, goes with it; what is to be done for that vport is
    read when its frame is handed up (`Steer`), which also sees that the vport is still one of the vnet.

    Ports: `vnet_valid`, `vnet`; `mac_valid`, `mac`; `o_valid`, `o` (`Destination`); `table` (whole rows; written while
    nobody reads). No ready anywhere.
    Latency: `latency` cycles from the later of both. Throughput: one every `PROBES[width]` cycles.

    Parameters
    ----------
    width : bytes a beat of the path (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.exact = ExactMatch(DESTINATION_TABLE, probes=PROBES[width])
        self.latency = self.exact.latency + 1
        super().__init__(
            {
                "vnet_valid": In(1),
                "vnet": In(VNET_BITS),
                "mac_valid": In(1),
                "mac": In(48),
                "o_valid": Out(1),
                "o": Out(Destination),
                "table": In(RX_TABLE_WRITE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.exact = exact = self.exact
        depth, probes, table = WAITING[self.width], PROBES[self.width], self.table
        m.submodules.vnets = vnets = QuickFifo(shape=VNET_BITS, depth=depth, margin=1)
        m.submodules.macs = macs = QuickFifo(shape=48, depth=depth, margin=1)
        start, busy = Signal(), Signal(max(probes - 1, 1))
        if probes > 1:
            m.d.sync += busy.eq(Cat(start, busy)[: probes - 1])
        m.d.comb += [
            vnets.write.eq(self.vnet_valid),
            vnets.i.eq(self.vnet),
            macs.write.eq(self.mac_valid),
            macs.i.eq(self.mac),
            start.eq(vnets.o.valid & macs.o.valid & ~busy.any()),
            vnets.o.ready.eq(start),
            macs.o.ready.eq(start),
            exact.valid.eq(start),
            exact.key.vnet.eq(vnets.o.payload),
            exact.key.mac.eq(macs.o.payload),
            exact.write.eq(table.valid & (table.table == RxTable.DESTINATION)),
            exact.row.eq(table.row),
            exact.entry.eq(table.data[: exact.entry.shape().size]),
        ]
        many = [start & macs.o.payload[GROUP_BIT]]
        for cycle in range(exact.latency):
            many.append(Signal(name=f"many_{cycle}"))
            m.d.sync += many[-1].eq(many[-2])
        m.d.comb += [
            self.o_valid.eq(exact.done),
            self.o.many.eq(many[-1]),
            self.o.known.eq(exact.hit & ~many[-1]),
            self.o.vport.eq(exact.value.vport),
        ]
        return m
