"""The receive path as a whole."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.registers.rx_tables import RxTable
from hdl.rx.coalesce import Coalesce
from hdl.rx.completions import Completions
from hdl.rx.deliver import Deliver, RxCounters
from hdl.rx.find import Find
from hdl.rx.inner import InnerParse, Strip
from hdl.rx.layouts import (
    HANDLE_BITS,
    Delivery,
    Destination,
    OuterFacts,
    PlaceRecord,
    RxPacket,
    SttChunk,
    Termination,
    chunk_rows,
    place_beat,
)
from hdl.rx.meet import Meet
from hdl.rx.order import Order
from hdl.rx.outer import OuterParse
from hdl.rx.place import Place
from hdl.rx.quotas import Quotas
from hdl.rx.reassemble import Reassemble
from hdl.rx.rows import RX_TABLE_WRITE
from hdl.rx.steer import Steer
from hdl.rx.terminate import Terminate
from hdl.stream.beat import wire_beat
from hdl.stream.fifo import Fifo
from hdl.stream.paced_fifo import PACE, PACKET_PACE, record_fifo
from hdl.stream.quick_fifo import QuickFifo, ThroughFifo
from hdl.stream.ring import FIFO_DEPTH
from hdl.stream.small_fifo import SmallFifo
from hdl.table.writer import TableWriter, table_port


class RxPath(wiring.Component):
    """Packets off the wire in, frames in host memory out.

    ::

        i ─┬─ ring ──────────────────────────────────────────────────────────────────────────── place ─ o
           └─ outer ─┬─ beats ─ strip ─ inner ─┬─ header rows ─┐            ┌─ record ─ order ─┘
                     ├─ request ─ terminate ─ find ──┐         │            │
                     ├─ facts ─────────────────┴─ facts ─ meet ┴┬─ coalesce ┼─ completion ─ steer ─ deliver ─ delivery
                     └─ chunks ─────────────────────────────────┴─ reassemble ┘

    The parsers see each packet once, as it comes in, and never stop: `i` waits only where a queue or the ring is full,
    and at the end of a packet that is too short to come off a line.
    No payload is kept on the card beyond the time that it takes to know where it belongs: an STT fragment leaves while
    it is still arriving, any other packet when its checksums are known.

    Ports: streams `i` (`wire_beat`), `place` (`place_beat`), `delivery` (`Delivery`) and `buffer` (handles of empty
    host buffers, 64 KB each); `table` (whole rows, see `TableWriter`); `counter` (`select`, `value` four cycles later);
    `idle` (ticks of 256 cycles after which a flow's open frame is handed up), `timeout` (ticks of 2**18 cycles that an
    STT frame may stay open), `flush` (hand up all open frames); `held`: packets in open frames, `open`: open frames.

    Every packet that goes in comes out: `PACKETS_IN` = `PACKETS_DELIVERED` + `PACKETS_SLOW` + all reasons + `held`.
    A delivery leaves when all placements in front of it have been taken.

    Reset: hold it for at least 64 cycles, so that pipelines without one run empty. Nothing of what was under way comes
    out: packets and open frames are gone, their buffers are the host's again, and all counters begin at 0. Tables have
    to be written anew: some of their rows stay, others do not. `i` waits for 64 cycles.

    Parameters
    ----------
    config : width and sizes
    """

    def __init__(self, config: NicConfig):
        self.config = config
        width = config.width
        super().__init__(
            {
                "i": In(stream.Signature(wire_beat(width))),
                "place": Out(stream.Signature(place_beat(width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "table": In(table_port(RX_TABLE_WRITE)),
                "counter": In(wiring.Signature({"select": Out(6), "value": In(32)})),
                "idle": In(16),
                "timeout": In(16),
                "flush": In(1),
                "held": Out(32),
                "open": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, width, depth = self.config, self.config.width, self.config.queue_depth

        # -- blocks
        m.submodules.outer = outer = OuterParse(width)
        m.submodules.strip = strip = Strip(width)
        m.submodules.inner = inner = InnerParse(width)
        m.submodules.terminate = terminate = Terminate(width)
        m.submodules.find = find = Find(width)
        m.submodules.meet = meet = Meet(width=width)
        to_inner = outer.latency + strip.latency
        parsers = to_inner + inner.latency
        answered = max(outer.request_latency + terminate.vnet_latency, to_inner + 1) + find.latency
        if answered + 2 > parsers - 1 or outer.facts_latency + 5 > parsers - 1:
            raise ValueError(
                f"behind a packet's end tables answer in cycle {answered}, the outer parser in {outer.facts_latency}: "
                f"too late for the inner facts in {parsers - 1}"
            )
        margin = parsers + 10
        packets_under_way = -(-margin // PACE[width]) + 1
        m.submodules.coalesce = coalesce = Coalesce(width, config.contexts, row_margin=margin)
        m.submodules.reassemble = reassemble = Reassemble(width, config.contexts, facts_margin=packets_under_way)
        m.submodules.quotas = quotas = Quotas(config.contexts)
        m.submodules.order = order = Order()
        m.submodules.steer = steer = Steer(width)
        drain = max(terminate.latency, steer.latency) + 4
        m.submodules.writer = writer = TableWriter(layout=RX_TABLE_WRITE, drain=drain, rest=16)
        m.submodules.deliver = deliver = Deliver(one_at_a_time=steer.one_at_a_time)
        m.submodules.counters = counters = RxCounters(one_at_a_time=steer.one_at_a_time)
        m.submodules.place = place = Place(config, margin=8)

        # -- queues
        # each of these is emptied by the inner facts of its packet, which come later than all of them
        m.submodules.outers = outers = Fifo(shape=OuterFacts, depth=depth, margin=1)
        m.submodules.terminations = terminations = QuickFifo(shape=Termination, depth=FIFO_DEPTH[width], margin=1)
        m.submodules.destinations = destinations = QuickFifo(shape=Destination, depth=FIFO_DEPTH[width], margin=1)
        m.submodules.packets = packets = record_fifo(width, shape=RxPacket, depth=depth, margin=packets_under_way)
        m.submodules.chunks = chunks = ThroughFifo(
            shape=SttChunk,
            depth=depth,
            margin=-(-outer.facts_latency // min(PACE[width], chunk_rows(width)[1])) + 3,
        )
        m.submodules.turns = turns = Fifo(shape=1, depth=depth, margin=margin)
        places = {}
        m.submodules.stt_places = places["stt"] = ThroughFifo(shape=PlaceRecord, depth=depth, margin=16)
        m.submodules.tcp_places = places["tcp"] = Fifo(shape=PlaceRecord, depth=128, margin=coalesce.place_margin + 4)
        m.submodules.completions = completions = Completions(
            depth=depth,
            stt_margin=16,
            tcp_margin=coalesce.completion_margin + 4,
            one_waits=width == 8,
        )

        # -- in: a register, then the parsers and the ring; packets too short for a line wait for the parsers' pace
        table = writer.o
        space = Signal()
        taken, full, beat = Signal(), Signal(), Signal(wire_beat(width), reset_less=True)
        pause = Signal(range(max(PACE[width], PACKET_PACE[width]) + 1))  # cycles for which no packet may end
        m.d.comb += [taken.eq(full & space & ~(beat.last & (pause != 0))), self.i.ready.eq(~full | taken)]
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), beat.eq(self.i.payload)]
        with m.If(taken & beat.last):
            m.d.sync += pause.eq(max(PACE[width], PACKET_PACE[width]) - 1)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        m.d.sync += space.eq(
            place.space
            & packets.space
            & reassemble.facts_space
            & chunks.space
            & turns.space
            & coalesce.row_space
            & counters.ready
        )
        m.d.comb += [
            place.write.eq(taken),
            place.i.eq(beat.data),
            outer.i_valid.eq(taken),
            outer.i.eq(beat),
            outer.local_write.valid.eq(table.valid & (table.table == RxTable.LOCAL)),
            outer.local_write.row.eq(table.row),
            outer.local_write.entry.eq(table.data),
            outer.folds_write.valid.eq(table.valid & (table.table == RxTable.FOLD)),
            outer.folds_write.row.eq(table.row),
            outer.folds_write.entry.eq(table.data),
            outer.options_write.valid.eq(table.valid & (table.table == RxTable.OPTION)),
            outer.options_write.row.eq(table.row),
            outer.options_write.entry.eq(table.data),
            strip.i_valid.eq(outer.beat_valid),
            strip.i.eq(outer.beat),
            inner.i_valid.eq(strip.o_valid),
            inner.i.eq(strip.o),
            coalesce.row_valid.eq(inner.row_valid),
            coalesce.row.eq(inner.row),
            coalesce.row_first.eq(inner.row_first),
            coalesce.row_commit.eq(inner.facts_valid & ~meet.chunked),  # fragments are not compared
            coalesce.row_count.eq(inner.facts.rows),
            chunks.write.eq(outer.chunk_valid),
            chunks.i.eq(outer.chunk),
            turns.write.eq(outer.order_valid),
            turns.i.eq(outer.order),
        ]

        # -- whose is it, and to whom does it go
        wiring.connect(m, wiring.flipped(self.table), writer.i)
        wiring.connect(m, outers.o, meet.outer)
        wiring.connect(m, terminations.o, meet.termination)
        wiring.connect(m, destinations.o, meet.to)
        m.d.comb += [
            terminate.table.eq(table),
            terminate.request_valid.eq(outer.request_valid),
            terminate.request.eq(outer.request),
            find.table.eq(table),
            find.vnet_valid.eq(terminate.vnet_valid),
            find.vnet.eq(terminate.vnet),
            find.mac_valid.eq(inner.mac_valid),
            find.mac.eq(inner.mac),
            outers.write.eq(outer.facts_valid),
            outers.i.eq(outer.facts),
            terminations.write.eq(terminate.response_valid),
            terminations.i.eq(terminate.response),
            destinations.write.eq(find.o_valid),
            destinations.i.eq(find.o),
            meet.inner_valid.eq(inner.facts_valid),
            meet.inner.eq(inner.facts),
            packets.write.eq(meet.packet_valid),
            packets.i.eq(meet.packet),
            reassemble.chunk_soon.eq(outer.chunk_soon),
            reassemble.facts_valid.eq(meet.facts_valid),
            reassemble.facts.eq(meet.facts),
        ]

        # -- put together
        now = Signal(34)
        m.d.sync += now.eq(now + 1)
        wiring.connect(m, packets.o, coalesce.packet)
        wiring.connect(m, chunks.o, reassemble.chunk)
        m.d.comb += [
            coalesce.now.eq(now[8:]),
            coalesce.idle.eq(self.idle),
            coalesce.flush.eq(self.flush),
            quotas.table.eq(table),
            coalesce.quota.eq(quotas.vnet),
            reassemble.quota.eq(quotas.source),
            reassemble.strict.eq(quotas.strict),
            reassemble.now.eq(now[18:]),
            reassemble.timeout.eq(self.timeout),
            completions.stt_valid.eq(reassemble.completion_valid),
            completions.stt.eq(reassemble.completion),
            completions.tcp_valid.eq(coalesce.completion_valid),
            completions.tcp.eq(coalesce.completion),
        ]
        m.d.sync += [
            reassemble.completion_go.eq(completions.stt_go),
            coalesce.completion_go.eq(completions.tcp_go),
        ]
        for name, engine in (("stt", reassemble), ("tcp", coalesce)):
            m.d.comb += [places[name].write.eq(engine.place_valid), places[name].i.eq(engine.place)]
            m.d.sync += engine.place_go.eq(places[name].space)

        # -- host buffers for both, ahead of need
        m.submodules.stt_buffers = stt_buffers = SmallFifo(shape=HANDLE_BITS)
        m.submodules.tcp_buffers = tcp_buffers = SmallFifo(shape=HANDLE_BITS)
        turn = Signal()
        to_stt = stt_buffers.room & (turn | ~tcp_buffers.room)
        fetched = self.buffer.valid & self.buffer.ready
        m.d.comb += [
            self.buffer.ready.eq(stt_buffers.room | tcp_buffers.room),
            stt_buffers.reserve.eq(fetched & to_stt),
            tcp_buffers.reserve.eq(fetched & ~to_stt),
            stt_buffers.write.eq(stt_buffers.reserve),
            tcp_buffers.write.eq(tcp_buffers.reserve),
            stt_buffers.i.eq(self.buffer.payload),
            tcp_buffers.i.eq(self.buffer.payload),
        ]
        with m.If(fetched):
            m.d.sync += turn.eq(~to_stt)
        wiring.connect(m, stt_buffers.o, reassemble.buffer)
        wiring.connect(m, tcp_buffers.o, coalesce.buffer)

        # -- place
        wiring.connect(m, turns.o, order.order)
        wiring.connect(m, places["stt"].o, order.stt)
        wiring.connect(m, places["tcp"].o, order.tcp)
        wiring.connect(m, order.o, place.record)
        m.d.comb += place.stt.eq(order.from_stt)
        wiring.connect(m, place.o, wiring.flipped(self.place))

        # -- hand up
        m.d.comb += [steer.table.eq(table), steer.hold.eq(writer.hold)]
        wiring.connect(m, completions.o, steer.i)
        wiring.connect(m, steer.o, deliver.i)
        wiring.connect(m, deliver.o, wiring.flipped(self.delivery))
        m.d.comb += [deliver.done_stt.eq(place.done_stt), deliver.done_tcp.eq(place.done_tcp)]

        # -- account
        m.d.comb += [
            counters.counted.eq(deliver.counted),
            counters.index.eq(deliver.index),
            counters.amount.eq(deliver.amount),
            counters.frame.eq(deliver.frame),
            counters.packet.eq(taken & beat.last),
            counters.select.eq(self.counter.select),
            self.counter.value.eq(counters.value),
        ]
        m.d.sync += [self.held.eq(coalesce.held + reassemble.held), self.open.eq(coalesce.open + reassemble.open)]
        return m
