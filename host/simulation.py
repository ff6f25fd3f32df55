"""The virtual card as the tools use it: open it, program it, send frames, and account for every one.

The card's own modules are imported only when a card is opened: they bring the whole hardware language with them, which
`tunnelnic --help` has no use for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from driver import counters, tables
from driver.network import Network
from hdl.config import PRESETS, NicConfig
from host import wire
from host.errors import UserError
from host.progress import Advance, waiting

if TYPE_CHECKING:
    from sim.card import Frame, Packet, VirtualCard
    from sim.card.deliveries import Delivery

DROP = "drop."
COMPILING = "compiling the virtual card (once for each preset, up to a minute)"


def preset(name: str) -> NicConfig:
    """A named configuration of the card. Raises UserError."""
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


@contextmanager
def open_card(
    config: NicConfig, trace: Path | None = None, *, show: bool = True, local: bool = False
) -> Iterator[VirtualCard]:
    """A card, reset and with empty tables; `show`: say that it is being compiled, where that takes long.

    `local`: one that hands frames to other vports. It runs slower.

    Raises UserError where it cannot be built or gets stuck.
    """
    from sim.card import BuildError, CardError, VirtualCard

    try:
        with waiting(COMPILING) if show else nullcontext():
            card = VirtualCard(config, trace=trace, local=local)
        with card:
            yield card
    except (BuildError, CardError) as error:
        raise UserError(f"virtual card: {error}") from error


@dataclass(frozen=True)
class Run:
    """What became of some frames.

    `frames` are in the order of the card's turns, `local` what some of them became for other vports. `counters` are the
    card's, `seconds` those of the machine that ran the simulation.
    """

    config: NicConfig
    frames: Sequence[Frame]
    packets: Sequence[Packet]
    local: Sequence[Delivery]
    counters: dict[str, int]
    cycles: int
    seconds: float
    underruns: int

    @property
    def drops(self) -> dict[str, int]:
        """Dropped frames by reason, those that there were."""
        return {name.removeprefix(DROP): n for name, n in self.counters.items() if name.startswith(DROP) and n}

    @property
    def accounted(self) -> bool:
        """Whether every frame was sent, handed over or dropped under a name, and as many came out as the card says."""
        counted = self.counters["frames_sent"] + self.counters["frames_local"] + sum(self.drops.values())
        return (
            len(self.frames) == self.counters["frames_in"] == counted
            and self.counters["packets_out"] == len(self.packets)
            and self.counters["frames_local"] == len(self.local)
        )

    def time_ns(self, local: Delivery) -> int:
        """When a frame was handed over, since reset."""
        return round(local.cycle * 10**9 / self.config.clock_hz)

    @property
    def wire_units(self) -> int:
        """Byte times that the packets take at the least."""
        return wire.units(len(packet.data) for packet in self.packets)

    @property
    def wire_seconds(self) -> Fraction:
        """From the start of the first packet on the wire to the end of the last, its gap included."""
        if not self.packets:
            return Fraction(0)
        first, last = self.packets[0], self.packets[-1]
        span = Fraction(last.start_ns - first.start_ns) / 10**9
        return span + Fraction(8 * wire.units([len(last.data)]), self.config.line_bps)

    @property
    def wire_utilisation(self) -> float:
        """The part of that time that the packets had to take; 1 is line rate."""
        return float(Fraction(8 * self.wire_units, self.config.line_bps) / self.wire_seconds) if self.packets else 0.0


def transmit(card: VirtualCard, config: NicConfig, network: Network, frames: Sequence[Frame], progress: Advance) -> Run:
    """Reset the card, program it and send frames through it, the next one always waiting."""
    card.reset()
    tables.program(card, network, config.width, fresh=True)
    result = card.transmit(frames, progress=progress)
    sent = [frames[number] for number in result.order]
    return Run(
        config, sent, result.packets, result.local, counters.read(card), result.cycles, result.seconds, result.underruns
    )
