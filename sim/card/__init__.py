"""The virtual card: the transmit path's RTL, compiled, behind the driver's own interface."""

from sim.card.base import CardError, CardHang
from sim.card.card import VirtualCard
from sim.card.toolchain import BuildError
from sim.card.traffic import Frame, Measurement, Packet, Result

__all__ = ["BuildError", "CardError", "CardHang", "Frame", "Measurement", "Packet", "Result", "VirtualCard"]
