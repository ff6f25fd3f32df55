"""Rows of the ring into host buffers."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.rx.layouts import HANDLE_BITS, LENGTH_BITS, ROW_BITS, PlaceRecord, place_beat
from hdl.stream.align import Realign, lane_bits
from hdl.stream.beat import delayed, part_beat
from hdl.stream.quick_fifo import QuickFifo
from hdl.stream.ring import FIFO_DEPTH, Ring
from hdl.stream.small_fifo import SmallFifo
from hdl.stream.steps import Steps

LONGEST = (1 << LENGTH_BITS) - 1


class Head(data.Struct):
    """Where a record's bytes go; one a record, beside its beats."""

    none: 1  # it has no beats
    stt: 1  # which engine it came from
    handle: HANDLE_BITS
    offset: 16


class Sums(data.Struct):
    """A record, and where its last byte lies."""

    row: ROW_BITS
    release_row: ROW_BITS
    none: 1
    prime: 1  # its first row has bytes in front of it
    rotate: 6
    source: LENGTH_BITS + 1  # its last byte, counted from lane 0 of its first row
    target: LENGTH_BITS  # likewise of its first beat


class Place(wiring.Component):
    """Keep packets as they came until somebody says what of them goes where.

    ::

        write/i ─────────────> [ ring ] ── rotate ── combine ──> [ beats ] ─┐
        record ─┬─ sums ── plan ── steps ──┘                                ├─> o
                └─ handle, offset ──────────────────────────────> [ heads ] ┘

    Every record's bytes begin at lane 0 of a beat. Rows are free once a record with a later `release_row` is read.

    Ports: `write`/`i` append a row; `space` (a register): at least `margin` rows are free; stream `record`
    (`PlaceRecord`) with `stt`, the engine that it comes from; stream `o` (`place_beat`); `done_stt`, `done_tcp`: each
    engine's records whose bytes have been taken, modulo 2**16. Latency: `latency` cycles from record to beat.
    Throughput: one beat a cycle; a record takes the larger of its rows and its beats, one without bytes a cycle; at 8
    bytes a beat, two at least. Back-pressure: `record.ready` and `space`.

    Parameters
    ----------
    config : width, and the ring's size
    margin : rows that must be free for `space`
    """

    def __init__(self, config: NicConfig, *, margin: int):
        self.config, self.margin = config, margin
        self.realign = Realign(config.width, 1)
        self.latency = 3 + self.realign.latency + 2
        super().__init__(
            {
                "write": In(1),
                "i": In(8 * config.width),
                "space": Out(1),
                "record": In(stream.Signature(PlaceRecord)),
                "stt": In(1),
                "o": Out(stream.Signature(place_beat(config.width))),
                "done_stt": Out(16),
                "done_tcp": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, rows = self.config.width, self.config.receive_ring_rows
        m.submodules.ring = ring = Ring(shape=8 * width, rows=rows, margin=self.margin)
        reads = -(-(LONGEST - 1) // width) + 1
        m.submodules.steps = steps = Steps(width, 1, rows=rows, reads=reads)
        m.submodules.realign = realign = self.realign
        m.submodules.beats = beats = SmallFifo(shape=part_beat(width), depth=FIFO_DEPTH[width], quick=True)
        m.submodules.heads = heads = QuickFifo(shape=Head, depth=FIFO_DEPTH[width], margin=4)

        # -- plan, in two steps: where the last byte lies in the rows and in the beats, then what follows from it
        record, first_valid, first = self.record.p, Signal(), Signal(Sums, reset_less=True)
        plan_valid, plan = Signal(), Signal(steps.plan_shape, reset_less=True)
        first_move, plan_move, accept, none = Signal(), Signal(), Signal(), Signal()
        lane = lane_bits(width, 1)
        before = (record.lane[:lane] - 1)[: lane + 1].as_signed()
        m.d.comb += [
            plan_move.eq(~plan_valid | steps.plan.ready),
            # records far apart need not follow each other at once
            first_move.eq(~first_valid | (~plan_valid if width == 8 else plan_move)),
            self.record.ready.eq(first_move & heads.space),
            accept.eq(self.record.valid & self.record.ready),
            none.eq(record.discard | (record.length == 0)),
            heads.write.eq(accept),
            heads.i.none.eq(none),
            heads.i.stt.eq(self.stt),
            heads.i.handle.eq(record.handle),
            heads.i.offset.eq(record.offset),
        ]
        with m.If(accept):
            m.d.sync += first_valid.eq(1)
        with m.Elif(plan_move):
            m.d.sync += first_valid.eq(0)
        with m.If(first_move):
            m.d.sync += [
                first.row.eq(record.row),
                first.release_row.eq(record.release_row),
                first.none.eq(none),
                first.prime.eq(record.lane[:lane].any()),
                first.rotate.eq(-record.lane[:lane]),
                first.source.eq(record.length + before),
                first.target.eq(record.length - 1),
            ]
        count = first.source[lane:]
        with m.If(plan_move):
            m.d.sync += [
                plan_valid.eq(first_valid),
                plan.row.eq(first.row),
                plan.count.eq(count),
                plan.single.eq(first.none | (count == 0)),
                plan.double.eq(~first.none & (count == 1)),
                plan.none.eq(first.none),
                plan.prime.eq(first.none | first.prime),
                # rows and beats differ by at most one, so their lowest bits tell which there are more of
                plan.flush.eq(~first.none & (first.prime ^ first.source[lane] ^ first.target[lane])),
                plan.rotate.eq(first.rotate),
                plan.tail.eq(first.target[:lane]),
                plan.release.eq(1),
                plan.release_row.eq(first.release_row),
            ]
        m.d.comb += [steps.plan.valid.eq(plan_valid), steps.plan.payload.eq(plan)]

        # -- read
        m.d.comb += [
            ring.write.eq(self.write),
            ring.i.eq(self.i),
            ring.address.eq(steps.row),
            ring.release.eq(steps.release),
            ring.release_row.eq(steps.release_row),
            self.space.eq(ring.space),
            steps.room.eq(beats.room),
            beats.reserve.eq(steps.reserve),
            realign.step.eq(steps.step),
            realign.data.eq(delayed(m, ring.data, 1, name="data")),
            beats.write.eq(realign.write),
            beats.i.eq(realign.o),
        ]

        # -- give each beat its address
        head, beat = heads.o.p, beats.o.p
        inside, following = Signal(), Signal(16)
        move, here, skip = Signal(), Signal(), Signal()
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            here.eq(heads.o.valid & ~head.none & beats.o.valid & move),
            skip.eq(heads.o.valid & head.none & move),
            beats.o.ready.eq(here),
            heads.o.ready.eq(skip | (here & beat.last)),
        ]
        offset = Mux(inside, following, head.offset)
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(here),
                self.o.p.data.eq(beat.data),
                self.o.p.bytes.eq(beat.bytes),
                self.o.p.last.eq(beat.last),
                self.o.p.handle.eq(head.handle),
                self.o.p.offset.eq(offset),
            ]
        with m.If(here):
            m.d.sync += [inside.eq(~beat.last), following.eq(offset + width)]

        # -- a record is done when the host has taken its last beat, one without beats when those before it are done
        source = Signal()
        with m.If(here):
            m.d.sync += source.eq(head.stt)
        for done, engine in ((self.done_tcp, 0), (self.done_stt, 1)):
            placed = self.o.valid & self.o.ready & self.o.p.last & (source == engine)
            m.d.sync += done.eq(done + placed + (skip & (head.stt == engine)))
        return m
