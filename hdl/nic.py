"""The whole card: both directions side by side."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.local.path import local_place_beat
from hdl.rx.layouts import HANDLE_BITS, Delivery, place_beat
from hdl.rx.path import RxPath
from hdl.stream.fair import FairMerge, FairSplit
from hdl.tx.side import TxSide

UP = ("place", "delivery", "buffer")  # streams that both sides have


class Nic(wiring.Component):
    """Transmit side and receive path of one uplink.

    ::

        host ── tx.descriptor, tx.i ─────> [ TxSide ] ── tx.o ──> wire
                                                │ frames for vports
        host <── place, delivery ── by turns ───┤
                                                │
                                           [ RxPath ] <── rx.i ── wire

    Ports: `tx` and `rx`, those of `TxSide` and `RxPath` but for what both hand up: streams `place`
    (`local_place_beat`: a placement is never mixed with another), `delivery` (`Delivery`) and `buffer` (empty host
    buffers, each large enough for the longest frame of a host).

    Parameters
    ----------
    config : width and sizes of both
    """

    def __init__(self, config: NicConfig):
        self.config = config
        self.tx_side, self.rx_path = TxSide(config), RxPath(config)

        def rest(path):
            members = {name: member for name, member in path.signature.members.items() if name not in UP}
            return wiring.Signature(members)

        super().__init__(
            {
                "tx": Out(rest(self.tx_side)),
                "rx": Out(rest(self.rx_path)),
                "place": Out(stream.Signature(local_place_beat(config.width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, tx, rx = self.config.width, self.tx_side, self.rx_path
        m.submodules.tx, m.submodules.rx = tx, rx
        for outside, inside in ((self.tx, tx), (self.rx, rx)):
            for name, member in outside.signature.members.items():
                if member.is_signature:
                    wiring.connect(m, wiring.flipped(getattr(outside, name)), getattr(inside, name))
                elif member.flow == In:
                    m.d.comb += getattr(inside, name).eq(getattr(outside, name))
                else:
                    m.d.comb += getattr(outside, name).eq(getattr(inside, name))

        m.submodules.place = place = FairMerge(place_beat(width), local_place_beat(width), local_place_beat(width))
        m.submodules.delivery = delivery = FairMerge(Delivery, Delivery, Delivery)
        m.submodules.buffer = buffer = FairSplit(HANDLE_BITS)
        for name, merge in (("place", place), ("delivery", delivery)):
            wiring.connect(m, getattr(rx, name), merge.a)
            wiring.connect(m, getattr(tx, name), merge.b)
            wiring.connect(m, merge.o, wiring.flipped(getattr(self, name)))
        wiring.connect(m, wiring.flipped(self.buffer), buffer.i)
        wiring.connect(m, buffer.a, rx.buffer)
        wiring.connect(m, buffer.b, tx.buffer)
        return m
