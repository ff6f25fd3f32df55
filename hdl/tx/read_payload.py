"""Reading the payload of packets out of the payload ring."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.stream.align import Extent, Realign, lane_bits
from hdl.stream.beat import delayed, part_beat
from hdl.stream.ring import FIFO_DEPTH, Ring
from hdl.stream.small_fifo import SmallFifo
from hdl.stream.steps import Steps
from hdl.tx.layouts import PayloadRecord

LONGEST = (1 << 14) - 1  # bytes of payload a packet


class PayloadRead(wiring.Component):
    """Cut the ring's bytes into payloads and put each where it belongs in its packet.

    ::

        write/i ──────────────────> [ ring ] ── rotate ── combine ──> [ FIFO ] ──> o
        record ── plan ──> [ FIFO ] ── steps ──┘          └ masks
                                         └── free rows ──> space

    Ports: `write`/`i` append a row; `space` (a register): at least `margin` rows are free, counting what was written
    up to three cycles ago; streams `record` (of `PayloadRecord`) and `o` (`part_beat`; `more` and `join` are 0).
    A record's rows begin where the record before left the read pointer, and are written before it arrives. Rows are
    free once a record has advanced over them.

    Latency: 16 cycles from record to beat. Throughput: a payload takes the larger of its rows and its
    beats; one that is discarded takes a cycle. Back-pressure: `record.ready` and `space`.

    Parameters
    ----------
    config : width, and the ring's size
    margin : rows that must be free for `space`
    """

    def __init__(self, config: NicConfig, *, margin: int):
        self.config, self.ring = config, Ring(shape=8 * config.width, rows=config.ring_rows, margin=margin)
        super().__init__(
            {
                "write": In(1),
                "i": In(8 * config.width),
                "space": Out(1),
                "record": In(stream.Signature(PayloadRecord)),
                "o": Out(stream.Signature(part_beat(config.width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, rows = self.config.width, self.config.ring_rows
        lane = lane_bits(width, 1)
        m.submodules.extent = extent = Extent(width, 1, LONGEST)
        m.submodules.steps = steps = Steps(width, 1, rows=rows, reads=extent.reads)
        m.submodules.plans = plans = SmallFifo(shape=steps.plan_shape)
        m.submodules.realign = realign = Realign(width, 1)
        m.submodules.ring = ring = self.ring
        m.submodules.fifo = fifo = SmallFifo(shape=part_beat(width), depth=FIFO_DEPTH[width])

        # plan: the read pointer runs ahead with the plans, so that every plan knows its first row
        record, accept = self.record.p, Signal()
        m.d.comb += [
            self.record.ready.eq(plans.room),
            accept.eq(self.record.valid & plans.room),
            plans.reserve.eq(accept),
            extent.lo.eq(record.lane[:lane]),
            extent.start.eq(record.offset[:lane]),
            extent.length.eq(record.length),
        ]
        valid = delayed(m, accept, extent.LATENCY, name="valid")
        keep = delayed(m, record.keep, extent.LATENCY, name="keep")
        discard = delayed(m, record.discard, extent.LATENCY, name="discard")
        pointer, following = Signal(range(2 * rows)), Signal(range(2 * rows))  # one bit more, as `Ring` counts
        plan = Signal(steps.plan_shape, reset_less=True)
        m.d.comb += following.eq(pointer + extent.o.count + ~keep[0])
        with m.If(valid):
            m.d.sync += pointer.eq(following)
        m.d.sync += [
            plans.write.eq(valid),
            plan.row.eq(pointer),
            plan.release.eq(1),
            plan.release_row.eq(following),
            plan.none.eq(discard),
            plan.single.eq(extent.o.single | discard),
            plan.prime.eq(extent.o.prime | discard),
            plan.flush.eq(extent.o.flush & ~discard),
            *(plan[name].eq(extent.o[name]) for name in ("count", "double", "rotate", "start", "tail")),
        ]
        m.d.comb += plans.i.eq(plan)
        wiring.connect(m, plans.o, steps.plan)

        # read
        m.d.comb += [
            ring.write.eq(self.write),
            ring.i.eq(self.i),
            ring.address.eq(steps.row),
            ring.release.eq(steps.release),
            ring.release_row.eq(steps.release_row),
            self.space.eq(ring.space),
            steps.room.eq(fifo.room),
            fifo.reserve.eq(steps.reserve),
            realign.step.eq(steps.step),
            realign.data.eq(delayed(m, ring.data, 1, name="data")),
            fifo.write.eq(realign.write),
            fifo.i.eq(realign.o),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m
