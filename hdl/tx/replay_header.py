"""Replaying inner headers, once a packet, with the words that differ patched in."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.config import NicConfig
from hdl.parse.limits import HEADER_WORDS
from hdl.registers.patches import INNER_PATCH_BITS
from hdl.stream.align import Extent, Realign, lane_bits
from hdl.stream.beat import delayed, part_beat, swap16
from hdl.stream.ring import FIFO_DEPTH, Ring
from hdl.stream.small_fifo import SmallFifo
from hdl.stream.steps import Steps
from hdl.tx.choose import Chooser
from hdl.tx.layouts import HeaderRecord, InnerValues, header_beat

TAG_WORDS = 2
MAC_WORDS = 6


class Strip(wiring.Component):
    """Move the MAC addresses up over the tag behind them.

    ::

        i  │ d d s s │ s t . . │          words; d, s: MAC addresses, t: the tag
        o  │ ? d d s │ s s . . │          the header now begins 2 words later (here drawn with half the words)

    Ports: `i`, `o`; with `i`: `strip`, `read` (a row comes) and `opening` (it is the header's first). Only the first
    16 bytes move. Rows may come with pauses.

    Latency: 1 cycle. Throughput: one row a cycle.
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(8 * width), "strip": In(1), "read": In(1), "opening": In(1), "o": Out(8 * width)})

    def elaborate(self, platform):
        m = Module()
        tag = 16 * TAG_WORDS
        end = 16 * (TAG_WORDS + MAC_WORDS)
        if self.width > 8:
            m.d.sync += self.o.eq(self.i)
            with m.If(self.strip & self.opening):
                m.d.sync += self.o[tag:end].eq(self.i[: end - tag])
        else:
            second = Signal()  # the row behind the opening one is next
            upper = Signal(tag, reset_less=True)  # what goes over from the opening row
            with m.If(self.read):
                m.d.sync += [second.eq(self.opening), upper.eq(self.i[-tag:])]
            m.d.sync += self.o.eq(Mux(self.strip & (self.opening | second), Cat(upper, self.i[:-tag]), self.i))
        return m


class InnerPatcher(wiring.Component):
    """Replace the words of a row whose code is not 0.

    Ports: `data` and `codes` of a row; `values` a cycle later; `o` 3 cycles later.

    Latency: 3 cycles. Throughput: one row a cycle.
    """

    def __init__(self, width: int):
        self.width = width
        codes = data.ArrayLayout(INNER_PATCH_BITS, width // 2)
        super().__init__({"data": In(8 * width), "codes": In(codes), "values": In(InnerValues), "o": Out(8 * width)})

    def elaborate(self, platform):
        m = Module()
        kept = delayed(m, self.data, 1, name="kept")
        values = self.values.as_value()
        count = len(values) // 16
        for lane in range(self.width // 2):
            m.submodules[f"word_{lane}"] = word = Chooser(range(count + 1), six=self.width >= 32)
            m.d.comb += [
                word.number.eq(self.codes[lane]),
                word.words[0].eq(kept.word_select(lane, 16)),
                *(word.words[n + 1].eq(swap16(values.word_select(n, 16))) for n in range(count)),
                self.o.word_select(lane, 16).eq(word.o),
            ]
        return m


class HeaderReplay(wiring.Component):
    """Keep inner headers in a ring and replay them, patched and put in their place.

    ::

        write/i ──────────────────> [ ring ] ── strip ── patch ── rotate ── combine ──> [ FIFO ] ──> o
        record ── plan ──> [ FIFO ] ── steps ──┘          │                  └ masks
             └── values ─────────────────────> [ slots ] ─┘

    Ports: `write`/`i` (`header_beat`) append a row, the first being row 0; `space` (a register): at least `margin`
    rows are free, counting what was written up to three cycles ago; streams `record` (of `HeaderRecord`) and `o`
    (`part_beat`). A record's rows are written before it arrives.

    Latency: 20 cycles from record to beat at 8 bytes, 21 at 64. Throughput: a header takes the larger of its rows and
    its beats; one that is discarded takes a cycle. Back-pressure: `record.ready` and `space`.

    Parameters
    ----------
    config : width, and the ring's rows
    margin : rows that must be free for `space`
    """

    SLOTS = 16

    def __init__(self, config: NicConfig, *, margin: int):
        self.config, self.ring = config, Ring(shape=header_beat(config.width), rows=config.header_rows, margin=margin)
        super().__init__(
            {
                "write": In(1),
                "i": In(header_beat(config.width)),
                "space": Out(1),
                "record": In(stream.Signature(HeaderRecord)),
                "o": Out(stream.Signature(part_beat(config.width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, rows = self.config.width, self.config.header_rows
        lane = lane_bits(width, 2)
        slot_bits = exact_log2(self.SLOTS)
        m.submodules.extent = extent = Extent(width, 2, HEADER_WORDS)
        m.submodules.steps = steps = Steps(width, 2, rows=rows, reads=extent.reads, user=slot_bits + 1)
        # A slot is read up to 3 cycles after its plan has been taken.
        m.submodules.plans = plans = SmallFifo(shape=steps.plan_shape, limit=self.SLOTS - 4)
        m.submodules.slots = slots = memory.Memory(shape=InnerValues, depth=self.SLOTS, init=[])
        m.submodules.strip = strip = Strip(width)
        m.submodules.patch = patch = InnerPatcher(width)
        m.submodules.realign = realign = Realign(width, 2)
        m.submodules.ring = ring = self.ring
        m.submodules.fifo = fifo = SmallFifo(shape=part_beat(width), depth=FIFO_DEPTH[width])

        # plan
        record, accept, stripped = self.record.p, Signal(), Signal()
        slot = Signal(slot_bits)
        slot_write, slot_read = slots.write_port(), slots.read_port(domain="comb")
        m.d.comb += [
            self.record.ready.eq(plans.room),
            accept.eq(self.record.valid & plans.room),
            plans.reserve.eq(accept),
            slot_write.en.eq(accept),
            slot_write.addr.eq(slot),
            slot_write.data.eq(record.values),
            # a later fragment of a frame whose tag was taken out has no headers, but may still say `strip`
            stripped.eq(record.strip & (record.words != 0)),
            extent.lo.eq(Mux(delayed(m, stripped, 1, name="lo"), TAG_WORDS, 0)),
            extent.start.eq(delayed(m, record.offset[:lane], 1, name="start")),
        ]
        with m.If(accept):
            m.d.sync += slot.eq(slot + 1)
        m.d.sync += extent.length.eq(record.words - Mux(stripped, TAG_WORDS, 0))

        ahead = 1 + extent.LATENCY
        valid = delayed(m, accept, ahead, name="valid")
        discard = delayed(m, record.discard, ahead, name="discard")
        strips = delayed(m, stripped, ahead, name="strips")
        payload = delayed(m, record.payload, ahead, name="payload")
        empty = delayed(m, extent.length == 0, extent.LATENCY, name="empty")
        plan = Signal(steps.plan_shape, reset_less=True)
        m.d.sync += [
            plans.write.eq(valid),
            plan.row.eq(delayed(m, record.row[: len(plan.row)], ahead, name="row")),
            plan.release.eq(delayed(m, record.release, ahead, name="release")),
            plan.release_row.eq(delayed(m, record.release_row, ahead, name="release_row")),
            plan.none.eq(discard),
            plan.single.eq(extent.o.single | discard),
            plan.prime.eq(extent.o.prime | discard),
            plan.flush.eq(extent.o.flush & ~discard),
            plan.empty.eq(empty),
            plan.more.eq(payload | empty),
            plan.join.eq(empty | ~extent.o.tail.all()),
            plan.user.eq(Cat(strips, delayed(m, slot, ahead, name="slot"))),
            *(plan[name].eq(extent.o[name]) for name in ("count", "double", "rotate", "start", "tail")),
        ]
        m.d.comb += plans.i.eq(plan)
        wiring.connect(m, plans.o, steps.plan)

        # read
        beat = Signal(header_beat(width))
        m.d.sync += beat.eq(ring.data)
        values = Signal(InnerValues, reset_less=True)
        m.d.comb += [
            ring.write.eq(self.write),
            ring.i.eq(self.i),
            ring.address.eq(steps.row),
            ring.release.eq(steps.release),
            ring.release_row.eq(steps.release_row),
            self.space.eq(ring.space),
            strip.i.eq(beat.data),
            strip.strip.eq(delayed(m, steps.user[0], 2, name="strip")),
            strip.read.eq(delayed(m, steps.step.read, 2, name="read")),
            strip.opening.eq(delayed(m, steps.opening, 2, name="opening")),
            slot_read.addr.eq(delayed(m, steps.user[1:], 3, name="slot")),
            patch.data.eq(strip.o),
            patch.codes.eq(delayed(m, beat.codes, 1, name="codes")),
            patch.values.eq(values),
        ]
        m.d.sync += values.eq(slot_read.data)

        # memory 2, strip 1, patch 3 cycles, less the realigner's lead
        m.d.comb += [
            realign.step.eq(delayed(m, steps.step, 6 - realign.LEAD, name="step")),
            realign.data.eq(patch.o),
            steps.room.eq(fifo.room),
            fifo.reserve.eq(steps.reserve),
            fifo.write.eq(realign.write),
            fifo.i.eq(realign.o),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m
