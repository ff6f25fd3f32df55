"""The hardware that can be a virtual card, and the C++ files that drive it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hdl.config import NicConfig


@dataclass(frozen=True)
class Top:
    """A top level of the hardware.

    Parameters
    ----------
    name : of it
    path : the hardware of a configuration
    harness : its own C++ files in this folder
    """

    name: str
    path: Callable[[NicConfig], Any]
    harness: tuple[str, ...]


def transmit_side(config: NicConfig) -> Any:
    """`hdl.tx.side.TxSide` without what hands frames to other vports: that would take a third of the time."""
    from hdl.tx.side import TxSide  # late: a card that is in the cache does not need it

    return TxSide(config, local=False)


def whole_transmit_side(config: NicConfig) -> Any:
    """All of `hdl.tx.side.TxSide`."""
    from hdl.tx.side import TxSide

    return TxSide(config)


def receive_path(config: NicConfig) -> Any:
    """`hdl.rx.path.RxPath`."""
    from hdl.rx.path import RxPath

    return RxPath(config)


SHARED = ("bits.h", "exports.h", "pauses.h", "rate.h", "rtl.h")  # by the harnesses
UPWARD = ("upward.h", "memory.h", "records.h")  # by those that hand frames up
TRANSMIT = Top("transmit", transmit_side, ("transmit.cpp", "host.h", "mac.h", *UPWARD))
TRANSMIT_LOCAL = Top("transmit and local", whole_transmit_side, TRANSMIT.harness)
RECEIVE = Top("receive", receive_path, ("receive.cpp", "line.h", *UPWARD))
