"""A receiving card for the tools' own tests: as `sim.card.VirtualReceiver`, but the reference model is inside.

It needs no compiler and no tables: `program` gives it the configuration itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hdl.config import NicConfig
from hdl.registers.receive import ChecksumStatus, RxCounter, RxReason
from host.config import Config
from host.receive_simulation import arrivals
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.delivery import Delivery

DELAY = 40  # cycles from a packet's last byte to its delivery
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Delivered:
    """A record of the card, as it comes from the hardware."""

    data: bytes
    vports: int
    queue: int
    gso_size: int
    gso_type: int
    ip_status: ChecksumStatus
    l4_status: ChecksumStatus
    fixed_id: bool
    packets: int
    slow: bool
    hash: int
    vnet: int
    tag: int | None
    cut: bool
    entry: int
    tunnelled: bool
    cycle: int
    last_byte_cycle: int


@dataclass(frozen=True)
class Result:
    deliveries: list[Delivered]
    cycles: int
    seconds: float
    overruns: int
    open_peak: int
    held: int


class FakeReceiver:
    """`spoil` changes the deliveries; `lose` makes a counter forget; `overruns` packets at the end never come."""

    spoil: Callable[[list[Delivered]], list[Delivered]] = staticmethod(lambda deliveries: deliveries)
    lose: int | None = None
    overruns: int = 0
    received: list[bytes]  # by the latest card
    waits: tuple[int, int]  # idle and timeout, as it was told

    def __init__(self, config: NicConfig, *, trace: Path | None = None) -> None:
        self.config = config
        if trace is not None:
            trace.write_text("$end\n")
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reset(self) -> None:
        self.inside = ReceiveCard(ReceiveSettings())

    def write_row(self, *_: Any) -> None:
        raise AssertionError("it has no tables")

    def read_counter(self, index: int) -> int:
        counters = self.inside.counters
        name = RxCounter(index).name if index in list(RxCounter) else f"drop.{RxReason(index).name}"
        return 0 if index == type(self).lose else counters.get(name.lower(), 0)

    def receive(
        self,
        packets: Sequence[bytes],
        *,
        times: Sequence[int] | None = None,
        idle: int,
        timeout: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        type(self).received, type(self).waits = list(packets), (idle, timeout)
        ends, done, last = arrivals(packets, times, self.config.line_bps), list[Delivered](), 0
        for packet, end in list(zip(packets, ends, strict=True))[: len(packets) - type(self).overruns]:
            last = end * self.config.clock_hz // SECOND
            done += [record(one, last) for one in self.inside.receive(packet, end)]
        done += [record(one, last + 1000) for one in self.inside.flush()]
        if progress:
            progress(len(packets), len(packets))
        inside = self.inside
        return Result(type(self).spoil(done), last + 2000, 0.5, type(self).overruns, inside.open_peak, inside.held)


def record(one: Delivery, cycle: int) -> Delivered:
    """With noise where nobody may look."""
    return Delivered(
        one.frame,
        sum(1 << vport for vport in one.vports),
        one.queue,
        one.gso_size,
        one.gso_type,
        ChecksumStatus[one.ip_checksum.upper()],
        ChecksumStatus[one.l4_checksum.upper()],
        one.fixed_id if one.gso_size else True,
        one.packets,
        one.slow is not None,
        0xDEAD if one.slow else one.hash,
        63 if one.vnet is None else one.vnet,
        one.tag,
        one.cut,
        63 if one.entry is None else one.entry,
        one.entry is not None,
        cycle + DELAY,
        cycle,
    )


def program(card: FakeReceiver, config: Config) -> None:
    card.inside = ReceiveCard(config.receive_settings(card.config.name))


def spoilt(number: int, **changes: Any) -> Callable[[list[Delivered]], list[Delivered]]:
    """One delivery with other facts."""
    return staticmethod(
        lambda deliveries: [replace(one, **changes) if at == number else one for at, one in enumerate(deliveries)]
    )
