"""The transmit side of a card: turns between vports, and the path that frames take."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.local.path import LocalPath, local_place_beat
from hdl.local.split import Split
from hdl.registers.counters import LocalCounter
from hdl.registers.tables import VPORT_BITS
from hdl.rx.layouts import HANDLE_BITS, Delivery
from hdl.stream.beat import FRAME_LENGTH_BITS
from hdl.table.rows import table_write
from hdl.table.writer import TableWriter
from hdl.tx.path import TxPath
from hdl.tx.schedule import Descriptor, Schedule


class TxSide(wiring.Component):
    """Descriptors in, frames fetched in the order that the card says, packets on the wire out, or frames for vports.

    ::

        host ── descriptor ──> [ Schedule ] ── turn ──> host
        host ── i: the frames, in that order ──> [ Split ] ─┬─> [ TxPath ] ── o ──> wire
                                                            └─> [ LocalPath ] ── place, delivery ──> host

    Whoever fetches frames (a host's DMA; in simulation, a model of it) follows `turn`: it gives the frames on `i` as
    their descriptors come back, with the same `meta`, and may read ahead as far as it likes: the order is settled.

    Frames to one destination keep their order; one that stays on the card may be there before an earlier one of its
    vport is on the wire.

    Ports: those of `TxPath`; streams `descriptor` and `turn`, `freed`, `freed_vport` and `quantum` of `Schedule`;
    streams `place`, `delivery` and `buffer` of `LocalPath`. `counter` has `LocalCounter`'s too; the path's count only
    what goes to the wire.

    Parameters
    ----------
    config : width and sizes
    path : what takes the frames, with the ports of `TxPath`; default is that of `config`
    local : without it, all frames go to the path, which drops those for other vports; the ports stay, and are idle
    """

    def __init__(self, config: NicConfig, *, path: wiring.Component | None = None, local: bool = True):
        self.config, self.has_local = config, local
        self.path = TxPath(config) if path is None else path
        width = config.width
        super().__init__(
            {
                **self.path.signature.members,
                "descriptor": In(stream.Signature(Descriptor)),
                "turn": Out(stream.Signature(Descriptor)),
                "freed": Out(1),
                "freed_vport": Out(VPORT_BITS),
                "quantum": In(FRAME_LENGTH_BITS),
                "place": Out(stream.Signature(local_place_beat(width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.schedule = schedule = Schedule(places=self.config.vport_queue)
        m.submodules.path = path = self.path
        wiring.connect(m, wiring.flipped(self.descriptor), schedule.i)
        wiring.connect(m, schedule.o, wiring.flipped(self.turn))
        m.d.comb += [
            self.freed.eq(schedule.freed),
            self.freed_vport.eq(schedule.freed_vport),
            schedule.quantum.eq(self.quantum),
        ]
        wiring.connect(m, path.o, wiring.flipped(self.o))
        if self.has_local:
            self._beside(m, path)
        else:
            for name in ("i", "table", "counter"):
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(path, name))
        return m

    def _beside(self, m: Module, path: wiring.Component) -> None:
        """The local path beside the other."""
        width = self.config.width
        m.submodules.local, m.submodules.split = local, split = LocalPath(width), Split(width)
        m.submodules.writer = writer = TableWriter(layout=table_write(width), drain=split.latency + 4)
        wiring.connect(m, wiring.flipped(self.i), split.i)
        wiring.connect(m, split.wire, path.i)
        wiring.connect(m, split.local, local.i)
        wiring.connect(m, local.place, wiring.flipped(self.place))
        wiring.connect(m, local.delivery, wiring.flipped(self.delivery))
        wiring.connect(m, wiring.flipped(self.buffer), local.buffer)

        # -- a row is written on both sides
        both = path.table.ready & writer.i.ready
        m.d.comb += [self.table.ready.eq(both), split.table.eq(writer.o), split.hold.eq(writer.hold)]
        for table in (path.table, writer.i):
            m.d.comb += [getattr(table, name).eq(getattr(self.table, name)) for name in ("table", "row", "data")]
            m.d.comb += table.valid.eq(self.table.valid & both)

        # -- account
        counts = {LocalCounter.FRAMES_LOCAL: local.handed, LocalCounter.LOCAL_BAD_LENGTH: local.bad}
        shown, selected = Signal(32), Signal(4)
        m.d.sync += selected.eq(self.counter.select)
        m.d.comb += [path.counter.select.eq(self.counter.select), self.counter.value.eq(path.counter.value)]
        for which, event in counts.items():
            count = Signal(32, name=which.name.lower())
            m.d.sync += count.eq(count + event)
            with m.If(selected == which):
                m.d.sync += shown.eq(count)
                m.d.comb += self.counter.value.eq(shown)
