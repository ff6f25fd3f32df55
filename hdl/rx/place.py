"""Rows of the ring into host buffers."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.rx.layouts import HANDLE_BITS, LENGTH_BITS, PlaceRecord, place_beat
from hdl.stream.align import Extent, Realign, lane_bits
from hdl.stream.beat import delayed, part_beat
from hdl.stream.fifo import Fifo
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


class Place(wiring.Component):
    """Keep packets as they came until somebody says what of them goes where.

    ::

        write/i ─────────────> [ ring ] ── rotate ── combine ──> [ beats ] ─┐
        record ─┬─ plan ── steps ──┘                                        ├─> o
                └─ handle, offset ──────────────────────────────> [ heads ] ┘

    Every record's bytes begin at lane 0 of a beat. Rows are free once a record with a later `release_row` is read.

    Ports: `write`/`i` append a row; `space` (a register): at least `margin` rows are free; stream `record`
    (`PlaceRecord`) with `stt`, the engine that it comes from; stream `o` (`place_beat`); `done_stt`, `done_tcp`: each
    engine's records whose bytes have been taken, modulo 2**16.
    Latency: 17 cycles from record to beat at 8 bytes. Throughput: one beat a cycle; a record takes the larger of its
    rows and its beats, one without bytes a cycle. Back-pressure: `record.ready` and `space`.

    Parameters
    ----------
    config : width, and the ring's size
    margin : rows that must be free for `space`
    """

    def __init__(self, config: NicConfig, *, margin: int):
        self.config, self.margin = config, margin
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
        m.submodules.extent = extent = Extent(width, 1, LONGEST)
        m.submodules.steps = steps = Steps(width, 1, rows=rows, reads=extent.reads)
        m.submodules.plans = plans = SmallFifo(shape=steps.plan_shape)
        m.submodules.realign = realign = Realign(width, 1)
        m.submodules.beats = beats = SmallFifo(shape=part_beat(width), depth=FIFO_DEPTH[width])
        m.submodules.heads = heads = Fifo(shape=Head, depth=128, margin=8)

        # -- plan
        record, accept, none = self.record.p, Signal(), Signal()
        m.d.comb += [
            none.eq(record.discard | (record.length == 0)),
            self.record.ready.eq(plans.room & heads.space),
            accept.eq(self.record.valid & self.record.ready),
            plans.reserve.eq(accept),
            extent.lo.eq(record.lane[: lane_bits(width, 1)]),
            extent.length.eq(record.length),
            heads.write.eq(accept),
            heads.i.none.eq(none),
            heads.i.stt.eq(self.stt),
            heads.i.handle.eq(record.handle),
            heads.i.offset.eq(record.offset),
        ]
        planned = {"row": record.row, "release_row": record.release_row, "none": none}
        later = {name: delayed(m, value, extent.LATENCY, name=name) for name, value in planned.items()}
        plan = Signal(steps.plan_shape, reset_less=True)
        m.d.sync += [
            plans.write.eq(delayed(m, accept, extent.LATENCY, name="valid")),
            plan.row.eq(later["row"]),
            plan.release.eq(1),
            plan.release_row.eq(later["release_row"]),
            plan.none.eq(later["none"]),
            plan.single.eq(extent.o.single | later["none"]),
            plan.prime.eq(extent.o.prime | later["none"]),
            plan.flush.eq(extent.o.flush & ~later["none"]),
            *(plan[name].eq(extent.o[name]) for name in ("count", "double", "rotate", "start", "tail")),
        ]
        m.d.comb += plans.i.eq(plan)
        wiring.connect(m, plans.o, steps.plan)

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
