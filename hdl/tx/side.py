"""The transmit side of a card: turns between vports, and the path that frames take."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.registers.tables import VPORT_BITS
from hdl.stream.beat import FRAME_LENGTH_BITS
from hdl.tx.path import TxPath
from hdl.tx.schedule import Descriptor, Schedule


class TxSide(wiring.Component):
    """Descriptors in, frames fetched in the order that the card says, packets on the wire out.

    ::

        host ── descriptor ──> [ Schedule ] ── turn ──> host
        host ── i: the frames, in that order ──> [ TxPath ] ── o ──> wire

    Whoever fetches frames (a host's DMA; in simulation, a model of it) follows `turn`: it gives the frames on `i` as
    their descriptors come back, with the same `meta`, and may read ahead as far as it likes: the order is settled.

    Ports: those of `TxPath`; streams `descriptor` and `turn`, `freed`, `freed_vport` and `quantum` of `Schedule`.

    Parameters
    ----------
    config : width and sizes
    path : what takes the frames, with the ports of `TxPath`; default is that of `config`
    """

    def __init__(self, config: NicConfig, *, path: wiring.Component | None = None):
        self.config = config
        self.path = TxPath(config) if path is None else path
        super().__init__(
            {
                **self.path.signature.members,
                "descriptor": In(stream.Signature(Descriptor)),
                "turn": Out(stream.Signature(Descriptor)),
                "freed": Out(1),
                "freed_vport": Out(VPORT_BITS),
                "quantum": In(FRAME_LENGTH_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.schedule = schedule = Schedule(places=self.config.vport_queue)
        m.submodules.path = path = self.path
        for name in path.signature.members:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(path, name))
        wiring.connect(m, wiring.flipped(self.descriptor), schedule.i)
        wiring.connect(m, schedule.o, wiring.flipped(self.turn))
        m.d.comb += [
            self.freed.eq(schedule.freed),
            self.freed_vport.eq(schedule.freed_vport),
            schedule.quantum.eq(self.quantum),
        ]
        return m
