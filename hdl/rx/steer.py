"""To whom a frame goes: vports, and the queue of one."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.receive import RX_REASON_BITS, ChecksumStatus, RxReason
from hdl.registers.rx_tables import (
    DESTINATION_TABLE,
    INDIRECTION_ROWS,
    INDIRECTIONS,
    QUEUE_BITS,
    QUEUES_A_ROW,
    ROWS,
    RxTable,
)
from hdl.registers.tables import VPORTS
from hdl.rx.layouts import Completion, Delivery
from hdl.rx.rows import GROUP_ROW, INDIRECTION_ROW, RX_TABLE_WRITE, SETTINGS_ROW, VPORT_ROW
from hdl.stream.paced_fifo import PACE
from hdl.stream.pipe import Pipe
from hdl.table.exact import PROBES, ExactMatch
from hdl.table.lookup import Lookup
from hdl.table.memory import table_memory

GROUP_BIT = 40  # of a MAC address, first byte most significant: multicast or broadcast

ANSWER = data.StructLayout({"reason": RX_REASON_BITS, "slow": 1, "vports": VPORTS, "queue": QUEUE_BITS, "cut": 1})


class Steer(wiring.Component):
    """(vnet, destination MAC) to a vport and one of its queues; or to several vports, or to the slow path.

    ::

        i ─┬─ hash ── DESTINATION ─┬─ VPORT, INDIRECTION ─┬─ vports ── BAD_CHECKSUM ── reason ┐
           │                       └─ GROUP ──────────────┘                                   ├─ o
           └──────────────────────────────────────────────────────────────────── completion ──┘

    =============================  =====================================================================
    a completion with a reason     passes through, to nobody
    but `slow`                     to the slow path's vport, and the reason is gone; if there is none, as above
    unicast to a vport's address   to that vport, queue INDIRECTION[hash % 128]
    unicast to another address     to the vnet's group UNKNOWN: some vports, the slow path's vport, or none
    multicast, broadcast           to the vnet's group MULTICAST, likewise
    =============================  =====================================================================

    A frame with a bad inner checksum goes only to vports that want such frames. One that goes to nobody has a reason:
    NO_VPORT, or BAD_CHECKSUM if there would have been somebody. A frame of several segments is to be cut if what lies
    behind its layer-2 header (`patches.l3`) is longer than its vport's `receive_mtu`, or if it goes to anybody else.

    Ports: streams `i` (`Completion`) and `o` (`Delivery`), in one order; `table` (whole rows) and `hold`, from
    `TableWriter`: no lookup begins while `hold` is 1, and those under way are over `latency` cycles later.
    Latency: `latency` + 2 cycles. Throughput: one every `PACE[width]` cycles. Back-pressure: on `o`, holds `i`.

    Parameters
    ----------
    width : bytes a beat of the path (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.exact = ExactMatch(DESTINATION_TABLE, probes=PROBES[width])
        self.latency = self.exact.latency + 7
        super().__init__(
            {
                "i": In(stream.Signature(Completion)),
                "o": Out(stream.Signature(Delivery)),
                "table": In(RX_TABLE_WRITE),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.exact = exact = self.exact
        m.submodules.lookup = lookup = Lookup(
            record=Completion, answer=ANSWER, pace=PACE[self.width], latency=self.latency
        )
        settings = Signal(SETTINGS_ROW)
        with m.If(self.table.valid & (self.table.table == RxTable.SETTINGS)):
            m.d.sync += settings.eq(self.table.data)

        wiring.connect(m, wiring.flipped(self.i), lookup.i)
        m.d.comb += lookup.hold.eq(self.hold)
        pipe = Pipe(m, lookup.start, frame=self.i.p)
        pipe.step()

        frame = pipe.frame
        m.d.comb += [
            exact.valid.eq(pipe.valid),
            exact.key.vnet.eq(frame.vnet),
            exact.key.mac.eq(frame.dst_mac),
            exact.write.eq(self.table.valid & (self.table.table == RxTable.DESTINATION)),
            exact.row.eq(self.table.row),
            exact.entry.eq(self.table.data[: exact.entry.shape().size]),
        ]
        pipe.put(
            many=frame.dst_mac[GROUP_BIT],
            bad=~frame.slow & Cat(status == ChecksumStatus.BAD for status in (frame.ip_status, frame.l4_status)).any(),
            large=~frame.slow & (frame.gso_size != 0),
            behind=(frame.length - (frame.patches.l3 << 1))[: len(frame.length)],
            given=frame.reason != RxReason.NONE,
        )
        for _ in range(exact.latency):
            pipe.step()

        def read(name: str, table: RxTable, shape, address):
            return table_memory(m, name, write=self.table, table=table, shape=shape, rows=ROWS[table], address=address)

        lane_bits, index_bits = (QUEUES_A_ROW - 1).bit_length(), (INDIRECTIONS - 1).bit_length()
        assert 1 << index_bits - lane_bits == INDIRECTION_ROWS
        vport = exact.value.vport
        pipe.put(known=exact.hit & ~pipe.many, vport=vport)
        group = read("groups", RxTable.GROUP, GROUP_ROW, Cat(~pipe.many, pipe.frame.vnet))
        row = read("vports", RxTable.VPORT, VPORT_ROW, vport)
        queues = read(
            "indirections", RxTable.INDIRECTION, INDIRECTION_ROW, Cat(pipe.frame.hash[lane_bits:index_bits], vport)
        )
        pipe.step()
        pipe.put(group=group, receive_mtu=row.receive_mtu, queues=queues.as_value())
        pipe.step()

        slow = pipe.frame.slow
        known = pipe.known & ~slow
        up = slow | (~pipe.known & pipe.group.slow)
        pipe.put(
            known=known,
            one=known | up,
            none=(pipe.given & ~slow) | (up & ~settings.slow_valid),
            index=Mux(up, settings.slow_vport, pipe.vport),
            queue=gate(known, pipe.queues.word_select(pipe.frame.hash[:lane_bits], QUEUE_BITS)),
            over=pipe.behind > pipe.receive_mtu,
        )
        pipe.step()

        chosen = Cat(pipe.index == vport for vport in range(VPORTS))
        pipe.put(
            vports=gate(~pipe.none, Mux(pipe.one, chosen, pipe.group.vports)),
            cut=pipe.large & (pipe.over | ~pipe.known),
        )
        pipe.step()

        left = pipe.vports & ~gate(pipe.bad, settings.drop_bad_checksum)
        pipe.put(some=pipe.vports.any(), vports=left, left=left.any())
        pipe.step()

        reason = Signal(RX_REASON_BITS)
        with m.If(pipe.given & ~(pipe.frame.slow & pipe.some)):
            m.d.comb += reason.eq(pipe.frame.reason)
        with m.Elif(~pipe.some):
            m.d.comb += reason.eq(RxReason.NO_VPORT)
        with m.Elif(~pipe.left):
            m.d.comb += reason.eq(RxReason.BAD_CHECKSUM)
        pipe.put(reason=reason, slow=pipe.frame.slow & pipe.some)
        pipe.step()

        assert pipe.cycles == self.latency
        m.d.comb += [
            lookup.done.eq(pipe.valid),
            *[lookup.answer[name].eq(getattr(pipe, name)) for name in ANSWER.members],
        ]

        found, o = lookup.o.p, self.o
        m.d.comb += [
            o.valid.eq(lookup.o.valid),
            lookup.o.ready.eq(o.ready),
            *[
                o.p[name].eq(found.answer[name] if name in ANSWER.members else found.record[name])
                for name in Delivery.members
            ],
        ]
        return m
