"""Replaying outer header templates with the words that differ patched in."""

from amaranth import C, Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.registers.patches import OUTER_PATCH_BITS
from hdl.registers.tables import PROFILE_ROWS, TEMPLATE_BYTES
from hdl.stream.align import Extent, thermometer
from hdl.stream.beat import delayed, part_beat
from hdl.stream.ring import FIFO_DEPTH
from hdl.stream.small_fifo import SmallFifo
from hdl.stream.steps import Steps
from hdl.tx.layouts import OuterRecord
from hdl.tx.patch_outer import outer_patcher


def template_rows(width: int) -> int:
    """Rows of the template memory: `TEMPLATE_BYTES` a profile."""
    return PROFILE_ROWS * TEMPLATE_BYTES // width


def template_row(width: int) -> data.StructLayout:
    """A row of the template memory, as `hdl.registers.tables.pack_template_row` makes it."""
    return data.StructLayout({"data": 8 * width, "codes": data.ArrayLayout(OUTER_PATCH_BITS, width // 2)})


class OuterReplay(wiring.Component):
    """Replay the template of a packet's profile, patched, from byte 0 of the packet on.

    ::

        write/row/i ──────────────> [ templates ] ── patch ──> [ FIFO ] ──> o
        record ── plan ──> [ FIFO ] ── steps ──┘       │
             └── values ───────────────────────────────┘

    Ports: `write`, `row`, `i` replace a row of the template memory (row = profile * (128 / width) + beat); streams
    `record` (of `OuterRecord`) and `o` (`part_beat`; `more` is 1, `bytes` is `width`).

    Latency: 14 to 16 cycles from record to beat. Throughput: one beat a cycle, but see `hdl.tx.patch_outer`.
    Back-pressure: `record.ready`.
    """

    def __init__(self, config: NicConfig):
        self.config = config
        width = config.width
        super().__init__(
            {
                "write": In(1),
                "row": In(range(template_rows(width))),
                "i": In(template_row(width)),
                "record": In(stream.Signature(OuterRecord)),
                "o": Out(stream.Signature(part_beat(width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self.config.width
        beats = TEMPLATE_BYTES // width
        lanes = width // 2
        m.submodules.extent = extent = Extent(width, 2, TEMPLATE_BYTES // 2)
        m.submodules.patch = patch = outer_patcher(width)
        m.submodules.steps = steps = Steps(
            width, 2, rows=template_rows(width), reads=extent.reads, user=len(patch.slot)
        )
        m.submodules.plans = plans = SmallFifo(shape=steps.plan_shape, limit=12)
        m.submodules.fifo = fifo = SmallFifo(shape=part_beat(width), depth=FIFO_DEPTH[width])
        m.submodules.templates = templates = memory.Memory(
            shape=template_row(width),
            depth=template_rows(width),
            init=[],
            attrs={"no_rw_check": 1},  # what is read of a row in the cycle that writes it is never used: no bypass
        )

        # plan
        record, accept = self.record.p, Signal()
        m.d.comb += [
            self.record.ready.eq(patch.ready),
            accept.eq(patch.accept),
            plans.reserve.eq(accept),
            patch.valid.eq(self.record.valid),
            patch.room.eq(plans.room),
            patch.skip.eq(record.words == 0),
            patch.values.eq(record.values),
            extent.length.eq(record.words),
        ]
        valid = delayed(m, accept, extent.LATENCY, name="valid")
        empty = delayed(m, record.words == 0, extent.LATENCY, name="empty")
        plan = Signal(steps.plan_shape, reset_less=True)
        m.d.sync += [
            plans.write.eq(valid),
            plan.row.eq(delayed(m, record.profile, extent.LATENCY, name="profile") * beats),
            plan.release.eq(~empty),
            plan.empty.eq(empty),
            plan.more.eq(1),
            plan.join.eq(empty | ~extent.o.tail.all()),
            plan.user.eq(delayed(m, patch.slot, extent.LATENCY, name="slot")),
            *(plan[name].eq(extent.o[name]) for name in ("count", "single", "double", "tail")),
        ]
        m.d.comb += plans.i.eq(plan)
        # from `accept` to the plan's first row: extent, plan, FIFO, step, memory
        assert extent.LATENCY + 1 + 2 + 1 + 2 >= patch.LEAD
        wiring.connect(m, plans.o, steps.plan)

        # read: words behind the part's last are not patched but masked
        write_port, read_port = templates.write_port(), templates.read_port()
        beat = delayed(m, read_port.data, 1, name="beat")
        place = delayed(m, steps.step.place, 1, name="place")
        inside = Signal(lanes, reset_less=True)
        m.d.sync += inside.eq(
            Cat(C(1), thermometer(place.tail, lanes - 1) | (~place.last).replicate(lanes - 1))
            & (~place.empty).replicate(lanes)
        )
        m.d.comb += [
            write_port.en.eq(self.write),
            write_port.addr.eq(self.row),
            write_port.data.eq(self.i),
            read_port.addr.eq(steps.row),
            patch.data.eq(beat.data),
            patch.codes.eq(beat.codes.as_value()),
            patch.inside.eq(inside),
            patch.read_slot.eq(delayed(m, steps.user, 2, name="slot")),
            patch.free.eq(delayed(m, steps.release, 2, name="free")),
        ]

        # a register with a reset, that it does not become the slow end of a shift-register LUT
        write = Signal()
        m.d.sync += write.eq(delayed(m, steps.step.emit, 1 + patch.latency, name="emit"))
        m.d.comb += [
            steps.room.eq(fifo.room),
            fifo.reserve.eq(steps.reserve),
            fifo.write.eq(write),
            fifo.i.data.eq(patch.o),
            fifo.i.bytes.eq(width),
            *(
                fifo.i[name].eq(delayed(m, place[name], 1 + patch.latency, name=name))
                for name in ("last", "more", "join")
            ),
        ]
        wiring.connect(m, fifo.o, wiring.flipped(self.o))
        return m
