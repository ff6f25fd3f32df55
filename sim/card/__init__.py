"""The virtual cards: the RTL of a path, compiled, behind the driver's own interface."""

from sim.card.base import CardError, CardHang
from sim.card.card import VirtualCard
from sim.card.deliveries import Delivery, ReceiveMeasurement, ReceiveResult
from sim.card.receive import VirtualReceiver
from sim.card.toolchain import BuildError
from sim.card.traffic import Frame, Measurement, Packet, Result

__all__ = [
    "BuildError",
    "CardError",
    "CardHang",
    "Delivery",
    "Frame",
    "Measurement",
    "Packet",
    "ReceiveMeasurement",
    "ReceiveResult",
    "Result",
    "VirtualCard",
    "VirtualReceiver",
]
