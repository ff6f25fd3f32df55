"""The whole card: both directions side by side."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.config import NicConfig
from hdl.rx.path import RxPath
from hdl.tx.side import TxSide


class Nic(wiring.Component):
    """Transmit side and receive path of one uplink.

    ::

        host ── tx.descriptor, tx.i ───> [ TxSide ] ── tx.o ──> wire
        host <── rx.place, rx.delivery ── [ RxPath ] <── rx.i ── wire

    Ports: `tx` and `rx`, those of `TxSide` and `RxPath`. The two share nothing but the clock.

    Parameters
    ----------
    config : width and sizes of both
    """

    def __init__(self, config: NicConfig):
        self.tx_side, self.rx_path = TxSide(config), RxPath(config)
        super().__init__({"tx": Out(self.tx_side.signature), "rx": Out(self.rx_path.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.tx = self.tx_side
        m.submodules.rx = self.rx_path
        wiring.connect(m, wiring.flipped(self.tx), self.tx_side)
        wiring.connect(m, wiring.flipped(self.rx), self.rx_path)
        return m
