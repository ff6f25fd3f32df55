"""The receive path as a whole."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.registers.rx_tables import RxTable
from hdl.rx.coalesce import Coalesce
from hdl.rx.deliver import Deliver, RxCounters
from hdl.rx.inner import InnerParse, Strip
from hdl.rx.layouts import (
    HANDLE_BITS,
    Completion,
    Delivery,
    InnerFacts,
    OuterFacts,
    PlaceRecord,
    RxPacket,
    SttChunk,
    SttFacts,
    place_beat,
)
from hdl.rx.meet import Meet
from hdl.rx.order import Order
from hdl.rx.outer import OuterParse
from hdl.rx.place import Place
from hdl.rx.reassemble import Reassemble
from hdl.rx.rows import RX_TABLE_WRITE
from hdl.rx.steer import Steer
from hdl.rx.terminate import Terminate
from hdl.stream.beat import wire_beat
from hdl.stream.fifo import Fifo
from hdl.stream.paced_fifo import PACKET_PACE, record_fifo
from hdl.stream.single import Single
from hdl.stream.small_fifo import SmallFifo
from hdl.table.writer import TableWriter, table_port


class RxPath(wiring.Component):
    """Packets off the wire in, frames in host memory out.

    ::

        i ─┬─ ring ──────────────────────────────────────────────────────────────────────────── place ─ o
           └─ outer ─┬─ beats ─ strip ─ inner ─┬─ header rows ─┐            ┌─ record ─ order ─┘
                     │                         └─ facts ─┐     │            │
                     ├─ facts ─ terminate ───────────────┴─ meet ┬─ coalesce ┼─ completion ─ steer ─ deliver ─ delivery
                     └─ chunks ──────────────────────────────────┴─ reassemble ┘

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
        narrow = width == 8  # packets come at least seven cycles apart: one at a time is enough
        m.submodules.meet = meet = Meet(width=width, one_at_a_time=narrow)
        parsers = outer.facts_latency + strip.latency + inner.latency
        margin = parsers + 10
        m.submodules.coalesce = coalesce = Coalesce(width, config.contexts, row_margin=margin)
        m.submodules.reassemble = reassemble = Reassemble(width, config.contexts)
        m.submodules.order = order = Order()
        m.submodules.steer = steer = Steer(width)
        drain = max(terminate.latency, steer.latency) + 4
        m.submodules.writer = writer = TableWriter(layout=RX_TABLE_WRITE, drain=drain)
        m.submodules.deliver = deliver = Deliver()
        m.submodules.counters = counters = RxCounters()
        m.submodules.place = place = Place(config, margin=8)

        # -- queues
        def queue(name: str, shape, space: int):
            m.submodules[name] = fifo = record_fifo(width, shape=shape, depth=depth, margin=space)
            return fifo

        outers = queue("outers", OuterFacts, margin)
        inners = queue("inners", InnerFacts, margin)
        if narrow:
            m.submodules.packets = packets = Single(RxPacket)
            m.submodules.firsts = firsts = Single(SttFacts)
            m.d.comb += meet.go.eq(packets.space & firsts.space)
        else:
            packets = queue("packets", RxPacket, meet.latency + 6)
            firsts = queue("firsts", SttFacts, meet.latency + 6)
            m.d.sync += meet.go.eq(packets.space & firsts.space)
        completions = {
            "stt": queue("stt_completions", Completion, 16),
            "tcp": queue("tcp_completions", Completion, coalesce.completion_margin + 4),
        }
        m.submodules.chunks = chunks = Fifo(shape=SttChunk, depth=depth, margin=margin)
        m.submodules.turns = turns = Fifo(shape=1, depth=depth, margin=margin)
        places = {}
        for name in ("stt", "tcp"):
            space = 16 if name == "stt" else coalesce.place_margin + 4
            m.submodules[f"{name}_places"] = places[name] = Fifo(shape=PlaceRecord, depth=128, margin=space)
        m.submodules.chunked = chunked = SmallFifo(shape=1, depth=64)  # rows of headers count for the others only

        # -- in: a register, then the parsers and the ring; packets too short for a line wait for the parsers' pace
        table = writer.o
        space = Signal()
        taken, beat = Signal(), Signal(wire_beat(width), reset_less=True)
        m.d.sync += [
            space.eq(place.space & outers.space & inners.space & chunks.space & turns.space & coalesce.row_space),
            taken.eq(self.i.valid & self.i.ready),
            beat.eq(self.i.payload),
        ]
        early = Signal(range(PACKET_PACE[width] + 1))  # cycles for which no packet may end
        with m.If(self.i.valid & self.i.ready & self.i.p.last):
            m.d.sync += early.eq(PACKET_PACE[width] - 1)
        with m.Elif(early != 0):
            m.d.sync += early.eq(early - 1)
        m.d.comb += [
            self.i.ready.eq(space & ~(self.i.p.last & (early != 0))),
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
            coalesce.row_commit.eq(inner.facts_valid & ~chunked.o.payload),
            coalesce.row_count.eq(inner.facts.rows),
            chunked.reserve.eq(outer.facts_valid),
            chunked.write.eq(outer.facts_valid),
            chunked.i.eq(outer.facts.chunked),
            chunked.o.ready.eq(inner.facts_valid),
            outers.write.eq(outer.facts_valid),
            outers.i.eq(outer.facts),
            chunks.write.eq(outer.chunk_valid),
            chunks.i.eq(outer.chunk),
            turns.write.eq(outer.order_valid),
            turns.i.eq(outer.order),
            inners.write.eq(inner.facts_valid),
            inners.i.eq(inner.facts),
        ]

        # -- whose is it
        wiring.connect(m, outers.o, terminate.request)
        wiring.connect(m, terminate.response, meet.termination)
        wiring.connect(m, inners.o, meet.inner)
        wiring.connect(m, wiring.flipped(self.table), writer.i)
        m.d.comb += [terminate.table.eq(table), terminate.hold.eq(writer.hold)]
        m.d.comb += [
            packets.write.eq(meet.packet_valid),
            packets.i.eq(meet.packet),
            firsts.write.eq(meet.facts_valid),
            firsts.i.eq(meet.facts),
        ]

        # -- put together
        now = Signal(34)
        m.d.sync += now.eq(now + 1)
        wiring.connect(m, packets.o, coalesce.packet)
        wiring.connect(m, chunks.o, reassemble.chunk)
        wiring.connect(m, firsts.o, reassemble.facts)
        m.d.comb += [
            coalesce.now.eq(now[8:]),
            coalesce.idle.eq(self.idle),
            coalesce.flush.eq(self.flush),
            reassemble.now.eq(now[18:]),
            reassemble.timeout.eq(self.timeout),
        ]
        for name, engine in (("stt", reassemble), ("tcp", coalesce)):
            m.d.comb += [
                places[name].write.eq(engine.place_valid),
                places[name].i.eq(engine.place),
                completions[name].write.eq(engine.completion_valid),
                completions[name].i.eq(engine.completion),
            ]
            m.d.sync += [engine.place_go.eq(places[name].space), engine.completion_go.eq(completions[name].space)]

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

        # -- hand up: STT first, its frames are whole
        stt, tcp = completions["stt"].o, completions["tcp"].o
        m.d.comb += [
            steer.i.valid.eq(stt.valid | tcp.valid),
            steer.i.payload.eq(Mux(stt.valid, stt.payload, tcp.payload)),
            stt.ready.eq(steer.i.ready),
            tcp.ready.eq(steer.i.ready & ~stt.valid),
            steer.table.eq(table),
            steer.hold.eq(writer.hold),
        ]
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
