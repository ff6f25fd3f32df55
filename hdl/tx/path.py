"""The transmit path as a whole."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.registers.counters import TxCounter
from hdl.registers.tables import Table
from hdl.stream.beat import host_beat, wire_beat
from hdl.stream.credit_fifo import CreditFifo
from hdl.stream.paced_fifo import record_fifo
from hdl.table.counters import Counters
from hdl.table.forwarding import ForwardingTables, RouteRequest
from hdl.table.rows import table_write
from hdl.table.writer import TableWriter, table_port
from hdl.tx.cut import Cutter
from hdl.tx.egress import Egress
from hdl.tx.finish import Finisher
from hdl.tx.guard import Guard
from hdl.tx.layouts import (
    CutPlan,
    FrameContext,
    FramePlan,
    HeaderRecord,
    OuterConstants,
    OuterPacket,
    PayloadRecord,
    Piece,
    PieceSum,
    Plan,
    payload_beat,
)
from hdl.tx.meet_outer import MeetOuter
from hdl.tx.parse import Parse
from hdl.tx.plan import Planner
from hdl.tx.sum import Summer


class TxPath(wiring.Component):
    """Frames from the host in, packets on the wire out.

    ::

        i ─ guard ─ parse ─┬─ context ─┬───────────────┬─ plan ─ cut ─┬─ piece ──────┬─ finish ─┬─ outer record ─┐
                           │           └─ forwarding ──┘              └─ cut ─┐      │          ├─ header record ┤
                           ├─ payload beats ─────────────────────────────── sum ─ sums          └─ payload rec. ─┤
                           └─ header beats ──────────── ring ──────────────── │ ── ring ───────────────────── egress ─ o

    Every arrow is a queue: a writer keeps to the queue's `space`, so nothing behind the guard ever has to stall in the
    middle of a pipeline, and everything keeps one order. Packets leave in the order in which their frames came.

    Ports: streams `i` (`host_beat`) and `o` (`wire_beat`); `table` (whole rows, see `TableWriter`); `counter`
    (`select`, `value` four cycles later).
    Throughput: one beat a cycle in and out, one packet a cycle. Back-pressure: from `o` to `i`, nothing is lost.

    Reset: hold it for at least 32 cycles, so that pipelines without one run empty.

    Parameters
    ----------
    config : width and sizes
    """

    def __init__(self, config: NicConfig):
        self.config = config
        width = config.width
        super().__init__(
            {
                "i": In(stream.Signature(host_beat(width))),
                "o": Out(stream.Signature(wire_beat(width))),
                "table": In(table_port(table_write(width))),
                "counter": In(wiring.Signature({"select": Out(4), "value": In(32)})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, width, depth = self.config, self.config.width, self.config.queue_depth

        # -- blocks
        m.submodules.guard = guard = Guard(width=width)
        m.submodules.parse = parse = Parse(width=width)
        m.submodules.forwarding = forwarding = ForwardingTables(width=width)
        m.submodules.writer = writer = TableWriter(layout=table_write(width), drain=forwarding.latency + 4)
        m.submodules.plan = plan = Planner(width=width)
        m.submodules.cut = cut = Cutter(width=width)
        m.submodules.sum = summer = Summer(width=width)
        m.submodules.finish = finish = Finisher(width=width)
        parse_margin = guard.latency + parse.latency + 6
        m.submodules.meet_outer = meet_outer = MeetOuter()
        m.submodules.egress = egress = Egress(config, header_margin=parse_margin, payload_margin=summer.latency + 8)
        m.submodules.counters = counters = Counters()

        # -- queues
        def queue(name: str, shape, margin: int, *, paced: bool = False):
            m.submodules[name] = fifo = record_fifo(width, shape=shape, depth=depth, margin=margin, paced=paced)
            return fifo

        contexts = queue("contexts", FrameContext, parse_margin)
        requests = queue("requests", RouteRequest, parse_margin)
        m.submodules.beats = beats = CreditFifo(shape=payload_beat(width), depth=depth, margin=parse_margin)
        # frames are planned, and packets finished, at the pace at which their records leave the queues in front
        plans = queue("plans", Plan, plan.latency + 6, paced=True)
        frames = queue("frames", FramePlan, plan.latency + 6, paced=True)
        constants = queue("constants", OuterConstants, 8, paced=True)
        cuts = queue("cuts", CutPlan, cut.latency + 6)
        pieces = queue("pieces", Piece, cut.latency + 6)
        sums = queue("sums", PieceSum, summer.latency + 6)
        totals = queue("totals", 16, summer.latency + 6)
        outers = queue("outers", OuterPacket, finish.latency + 6, paced=True)
        headers = queue("headers", HeaderRecord, finish.latency + 6, paced=True)
        payloads = queue("payloads", PayloadRecord, finish.latency + 6)

        # -- host to queues
        wiring.connect(m, wiring.flipped(self.i), guard.i)
        m.d.sync += guard.go.eq(contexts.space & requests.space & beats.space & egress.header_space)
        m.d.comb += [
            parse.i_valid.eq(guard.o_valid),
            parse.i.eq(guard.o),
            contexts.write.eq(parse.context_valid),
            contexts.i.eq(parse.context),
            requests.write.eq(parse.context_valid),
            requests.i.vport.eq(parse.context.vport),
            requests.i.mac.eq(parse.context.dst_mac),
            beats.write.eq(parse.payload_valid),
            beats.i.eq(parse.payload),
            egress.header_write.eq(parse.header_valid),
            egress.header_i.eq(parse.header),
        ]

        # -- decide
        wiring.connect(m, requests.o, forwarding.request)
        wiring.connect(m, wiring.flipped(self.table), writer.i)
        table = writer.o
        m.d.comb += [forwarding.table.eq(table), forwarding.hold.eq(writer.hold)]
        meet = Signal()
        m.d.comb += [
            meet.eq(contexts.o.valid & forwarding.response.valid & plans.space & frames.space & constants.space),
            contexts.o.ready.eq(meet),
            forwarding.response.ready.eq(meet),
            plan.valid.eq(meet),
            plan.context.eq(contexts.o.payload),
            plan.route.eq(forwarding.response.payload),
            constants.write.eq(meet),
            constants.i.eq(plan.constants),
            plans.write.eq(plan.done),
            plans.i.eq(plan.plan),
            frames.write.eq(plan.done),
            frames.i.eq(plan.frame),
        ]

        # -- cut and sum
        wiring.connect(m, plans.o, cut.plan)
        m.d.sync += cut.go.eq(pieces.space & cuts.space)
        m.d.comb += [
            pieces.write.eq(cut.piece_valid),
            pieces.i.eq(cut.piece),
            cuts.write.eq(cut.cut_valid),
            cuts.i.eq(cut.cut),
        ]
        wiring.connect(m, cuts.o, summer.cut)
        wiring.connect(m, beats.o, summer.beat)
        m.d.sync += summer.go.eq(egress.payload_space & sums.space & totals.space)
        m.d.comb += [
            egress.payload_write.eq(summer.write),
            egress.payload_i.eq(summer.data),
            sums.write.eq(summer.sum_valid),
            sums.i.eq(summer.sum),
            totals.write.eq(summer.total_valid),
            totals.i.eq(summer.total),
        ]

        # -- finish and send
        wiring.connect(m, pieces.o, finish.piece)
        wiring.connect(m, frames.o, finish.frame)
        wiring.connect(m, sums.o, finish.sum)
        wiring.connect(m, totals.o, finish.total)
        m.d.sync += finish.go.eq(outers.space & headers.space & payloads.space)
        m.d.comb += [
            finish.sequence_write.eq(table.valid & (table.table == Table.SEQUENCE)),
            finish.sequence_row.eq(table.row),
            finish.sequence_next.eq(table.data),
            outers.write.eq(finish.outer_valid),
            outers.i.eq(finish.outer),
            headers.write.eq(finish.header_valid),
            headers.i.eq(finish.header),
            payloads.write.eq(finish.payload_valid),
            payloads.i.eq(finish.payload),
            egress.template_write.eq(table.valid & (table.table == Table.TEMPLATE)),
            egress.template_row.eq(table.row),
            egress.template_i.eq(table.data),
        ]
        wiring.connect(m, outers.o, meet_outer.packet)
        wiring.connect(m, constants.o, meet_outer.constants)
        wiring.connect(m, meet_outer.o, egress.outer)
        wiring.connect(m, headers.o, egress.header)
        wiring.connect(m, payloads.o, egress.payload)
        wiring.connect(m, egress.o, wiring.flipped(self.o))

        # -- account
        m.d.comb += [
            counters.reason.eq(finish.reason),
            counters.events.eq(finish.events),
            counters.events[TxCounter.FRAMES_IN].eq(guard.o_valid & guard.o.first),
            counters.select.eq(self.counter.select),
            self.counter.value.eq(counters.value),
        ]
        return m
