"""What the virtual cards of both directions have in common."""

from collections.abc import Callable
from fractions import Fraction
from math import gcd
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from hdl.config import NicConfig
from sim.card.binding import Library, Rate
from sim.card.build import build
from sim.card.tops import Top

CHUNK = 50_000  # cycles between two calls of `progress`
SETTLE = 5_000  # quiet cycles after which nothing more is expected of a card that took everything
PATIENCE = 50_000  # quiet cycles after which a card with work left counts as hung

Progress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is to do."""

AnyLibrary = TypeVar("AnyLibrary", bound=Library)


class CardError(Exception):
    """The card broke a rule of its interfaces."""


class CardHang(CardError):
    """The card stopped with work left."""


def rate_of(config: NicConfig) -> Rate:
    """The line's rate in ticks of wire time, the smallest integers of the exact ratio."""
    divisor = gcd(config.line_bps, 8 * config.clock_hz)
    return Rate(config.line_bps // divisor, 8 * config.clock_hz // divisor, round(10**12 / config.clock_hz))


def chance(name: str, value: float) -> int:
    """The chance of a pause as the harness counts it. Raises ValueError."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 0 and less than 1")
    return int(value * (1 << 32))


class Card(Generic[AnyLibrary]):
    """Compiled RTL with tables and counters: the driver's transport (`write_row`, `read_counter`)."""

    def __init__(
        self,
        config: NicConfig,
        top: Top,
        library: type[AnyLibrary],
        *,
        counters: int,
        trace: Path | None,
        component: Any,
    ) -> None:
        self.config = config
        self._rate = rate_of(config)
        self._tick_ns = Fraction(8 * 10**9, config.line_bps * self._rate.ticks_per_byte)
        self._counters = counters
        self._library = library(build(config, top=top, component=component, trace=trace is not None), self._rate, trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the simulation and the waveform."""
        self._library.close()

    def reset(self) -> None:
        """The card as after power-up, its tables empty; cycles count from 0 and a waveform begins anew."""
        self._library.reset()

    def write_row(self, table: int, row: int, data: int) -> None:
        """Writes a row of a table, in one cycle."""
        if not 0 <= row < 1 << 12:
            raise ValueError(f"row is {row}; it must be 0 to 4095")
        self._library.write_row(table, row, data.to_bytes(256, "little"))

    def read_counter(self, index: int) -> int:
        """A counter of the card's bank (32 bits; it wraps)."""
        if not 0 <= index < self._counters:
            raise ValueError(f"there is no counter {index}; they are 0 to {self._counters - 1}")
        return self._library.read_counter(index)

    def _tell_time(self, cycle: int) -> None:
        if cycle * self._rate.ticks_per_cycle >= 1 << 63:
            raise CardError(f"cycle {cycle} is too far from reset to tell the time; reset the card before")
