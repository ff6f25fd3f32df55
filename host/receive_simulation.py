"""The receiving card as the tools use it: open it, program it, bring it packets, and account for every one.

What is needed of a card stands here as protocols: `sim.card.VirtualReceiver` has it, and so has the tests' own card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from driver import receive
from driver.cuckoo import NoRoom
from driver.tables import TooMany
from hdl.config import NicConfig
from hdl.registers.receive import ChecksumStatus, RxCounter, RxReason
from host import wire
from host.config import Config
from host.errors import UserError
from host.progress import Advance, waiting
from host.simulation import COMPILING, DROP
from sim.model.receive.delivery import Delivery

IDLE_TICK = 256  # cycles
TIMEOUT_TICK = 1 << 18  # cycles
LONGEST_WAIT = 0xFFFF  # ticks
SECOND = 1_000_000_000  # ns


class Delivered(Protocol):
    """A frame in the host's memory, and the card's record of it."""

    @property
    def data(self) -> bytes: ...
    @property
    def vports(self) -> int:
        """A bit each."""

    @property
    def queue(self) -> int: ...
    @property
    def gso_size(self) -> int: ...
    @property
    def gso_type(self) -> int: ...
    @property
    def ip_status(self) -> ChecksumStatus: ...
    @property
    def l4_status(self) -> ChecksumStatus: ...
    @property
    def fixed_id(self) -> bool: ...
    @property
    def packets(self) -> int: ...
    @property
    def slow(self) -> bool: ...
    @property
    def hash(self) -> int: ...
    @property
    def vnet(self) -> int: ...
    @property
    def tag(self) -> int | None: ...
    @property
    def cut(self) -> bool: ...
    @property
    def entry(self) -> int:
        """That ended its tunnel, where it is `tunnelled`."""

    @property
    def tunnelled(self) -> bool: ...
    @property
    def cycle(self) -> int:
        """In which the record came."""

    @property
    def last_byte_cycle(self) -> int:
        """In which the card had taken the last byte of the latest packet."""


class Received(Protocol):
    """What became of some packets."""

    @property
    def deliveries(self) -> Sequence[Delivered]: ...
    @property
    def cycles(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def overruns(self) -> int:
        """Packets that came while the card could not take them."""

    @property
    def open_peak(self) -> int: ...
    @property
    def held(self) -> int:
        """Packets in STT frames that are not whole at the end."""


class ReceivingCard(Protocol):
    """The card, and the line in front of it."""

    @property
    def config(self) -> NicConfig: ...
    def reset(self) -> None: ...
    def write_row(self, table: Any, row: int, data: int) -> None: ...
    def read_counter(self, index: int) -> int: ...
    def receive(
        self,
        packets: Sequence[bytes],
        *,
        times: Sequence[int] | None,
        idle: int,
        timeout: int,
        progress: Callable[[int, int], None] | None,
    ) -> Received: ...


@contextmanager
def open_receiver(config: NicConfig, trace: Path | None = None) -> Iterator[ReceivingCard]:
    """A card, reset and with empty tables. Raises UserError where it cannot be built or gets stuck."""
    from sim.card import BuildError, CardError, VirtualReceiver

    try:
        with waiting(COMPILING):
            card = VirtualReceiver(config, trace=trace)
        with card:
            yield card
    except (BuildError, CardError) as error:
        raise UserError(f"virtual card: {error}") from error


def program(card: ReceivingCard, config: Config) -> None:
    """Tell a card, as it is after power-up, its receive configuration. Raises UserError."""
    try:
        receive.program(card, config.driver_receive(card.config.name), fresh=True)
    except (TooMany, NoRoom) as error:
        raise UserError(str(error)) from None


@dataclass(frozen=True)
class ReceiveRun:
    """What became of some packets. `counters` are the card's, `seconds` those of the machine that ran the simulation.

    `delays`: of each delivery, cycles from the last byte that the card had by then.
    """

    config: NicConfig
    packets: Sequence[bytes]
    deliveries: Sequence[Delivery]
    cycle_of: Sequence[int]  # of each delivery
    delays: Sequence[int]
    counters: dict[str, int]
    cycles: int
    seconds: float
    overruns: int
    held: int
    open_peak: int

    @property
    def drops(self) -> dict[str, int]:
        """Dropped packets by reason, those that there were."""
        return {name.removeprefix(DROP): n for name, n in self.counters.items() if name.startswith(DROP) and n}

    @property
    def accounted(self) -> bool:
        """Whether every packet was delivered, dropped under a name or is held, and the frames are those counted."""
        counted = self.counters["packets_delivered"] + self.counters["packets_slow"] + sum(self.drops.values())
        up = [one for one in self.deliveries if not one.slow]
        return (
            len(self.packets) == self.counters["packets_in"] + self.overruns
            and self.counters["packets_in"] == counted + self.held
            and self.counters["frames_delivered"] == len(up)
            and self.counters["packets_delivered"] == sum(one.packets for one in up)
            and self.counters["packets_slow"] == sum(one.packets for one in self.deliveries if one.slow)
        )

    @property
    def delay(self) -> dict[str, float] | None:
        """Median and maximum of `delays`."""
        return {"median": median(self.delays), "maximum": max(self.delays)} if self.delays else None

    def time_ns(self, number: int) -> int:
        """When a delivery was handed up, since reset."""
        return round(self.cycle_of[number] * SECOND / self.config.clock_hz)


def run_card(
    card: ReceivingCard,
    config: Config,
    packets: Sequence[bytes],
    progress: Advance,
    times: Sequence[int] | None = None,
) -> ReceiveRun:
    """Reset the card, program it, and bring it packets, back to back at line rate or no earlier than at `times`.

    `times`: nanoseconds from the start at which each packet may begin on the wire.
    """
    nic, settings = card.config, config.receive_settings(card.config.name)
    card.reset()
    program(card, config)
    result = card.receive(
        packets,
        times=times,
        idle=ticks(settings.coalesce.idle / SECOND, IDLE_TICK, nic),
        timeout=ticks(settings.terminate.timeout, TIMEOUT_TICK, nic),
        progress=progress,
    )
    return ReceiveRun(
        nic,
        packets,
        [as_delivery(one) for one in result.deliveries],
        [one.cycle for one in result.deliveries],
        [one.cycle - one.last_byte_cycle for one in result.deliveries],
        read_counters(card),
        result.cycles,
        result.seconds,
        result.overruns,
        result.held,
        result.open_peak,
    )


def ticks(seconds: float, tick: int, nic: NicConfig) -> int:
    """A time as the card counts it."""
    return min(round(seconds * nic.clock_hz / tick), LONGEST_WAIT)


def read_counters(card: ReceivingCard) -> dict[str, int]:
    """Every counter, named as the model names it."""
    return {
        **{counter.name.lower(): card.read_counter(counter) for counter in RxCounter},
        **{DROP + reason.name.lower(): card.read_counter(reason) for reason in RxReason if reason},
    }


def as_delivery(one: Delivered) -> Delivery:
    """The card's record as the model writes it. What the slow path gets is a packet as it came, and nothing more."""
    return Delivery(
        one.data,
        tuple(vport for vport in range(one.vports.bit_length()) if one.vports >> vport & 1),
        None if one.slow else one.vnet,
        "slow" if one.slow else None,
        one.packets,
        one.queue,
        one.hash,
        one.gso_size,
        one.gso_type,
        bool(one.fixed_id),
        one.ip_status.name.lower(),
        one.l4_status.name.lower(),
        one.tag,
        bool(one.cut),
        one.entry if one.tunnelled and not one.slow else None,
    )


def arrivals(packets: Sequence[bytes], times: Sequence[int] | None, line_bps: int) -> list[int]:
    """Nanoseconds from the start at which each packet's last byte is there."""
    ends, free = list[int](), 0.0
    for packet, time in zip(packets, times or [0] * len(packets), strict=True):
        start = max(free, time)
        units = wire.units([len(packet)])
        free = start + wire.seconds(units, line_bps) * SECOND
        ends.append(round(start + wire.seconds(units - wire.BEHIND, line_bps) * SECOND))
    return ends
