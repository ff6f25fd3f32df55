"""A receiving card for the tools' own tests: as the virtual one, but what happens inside is the reference model.

It needs no compiler. A frame is handed up `LATENCY` cycles after its last byte has come in.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Self

from driver.receive import Receive
from hdl.config import NicConfig
from hdl.registers.receive import ChecksumStatus, RxReason
from host import wire
from sim.card.deliveries import ReceiveMeasurement
from sim.model.receive import delivery, steer, terminate
from sim.model.receive.card import ReceiveCard, ReceiveSettings

LATENCY = 40
START = 1234  # the cycle in which `receive` begins


@dataclass
class Delivery:
    """What the tools read of the virtual card's."""

    data: bytes
    vports: int
    packets: int
    cycle: int
    ip_status: ChecksumStatus
    l4_status: ChecksumStatus
    gso_size: int
    slow: bool


@dataclass(frozen=True)
class Result:
    """Likewise."""

    deliveries: list[Delivery]
    overruns: int
    lost: dict[RxReason, int]
    open_peak: int
    start_cycle: int = START


class FakeReceiver:
    """`spoil` changes deliveries on their way up; `too_slow` says which packets are lost for want of speed."""

    spoil: Callable[[list[Delivery]], list[Delivery]] = staticmethod(lambda deliveries: deliveries)
    too_slow: Callable[[int, Sequence[Any]], bool] = staticmethod(lambda number, times: False)

    def __init__(self, config: NicConfig, *, trace: Path | None = None, component: Any = None) -> None:
        self.config = config
        self.inside: ReceiveCard | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reset(self) -> None:
        self.inside = None

    def program(self, description: Receive) -> None:
        """What the driver would have written into it."""
        entries = [
            terminate.Terminate(one.encapsulation, one.local, one.vnet, one.key, one.remote, one.udp_checksum, one.dscp)
            for one in description.terminate
        ]
        vports = {number: steer.Vport(one.vnet, one.mac) for number, one in description.vports.items()}
        settings = terminate.Settings(
            entries,
            description.uplink,
            options=frozenset(description.options),
            contexts=self.config.contexts,
        )
        self.inside = ReceiveCard(ReceiveSettings(settings, steer=steer.Steering(vports)))

    def receive(self, packets: Iterable[bytes], *, times: Sequence[Any]) -> Result:
        assert self.inside is not None, "it was not programmed"
        found, overruns, now, last = list[Delivery](), 0, Fraction(0), START
        for number, (packet, start) in enumerate(zip(packets, times, strict=True)):
            if type(self).too_slow(number, times):
                overruns += 1
                continue
            now = Fraction(start) + Fraction(8 * 10**9 * (8 + len(packet)), self.config.line_bps)
            last = START + ceil(now * self.config.clock_hz / 10**9) - 1
            found += [up(one, last) for one in self.inside.receive(packet, int(now))]
        found += [up(one, last) for one in self.inside.flush()]
        drops = {name: count for name, count in self.inside.counters.items() if name.startswith("drop.") and count}
        lost = {RxReason[name.removeprefix("drop.").upper()]: count for name, count in drops.items()}
        return Result(type(self).spoil(found), overruns, lost, self.inside.open_peak)

    def measure(self, packets: Iterable[bytes], *, warm_up_cycles: int, cycles: int) -> ReceiveMeasurement:
        """Two rounds, whatever was asked for."""
        packets = [*packets, *packets]
        step = Fraction(8 * 10**9 * wire.units([len(packets[0])]), self.config.line_bps)
        found = self.receive(packets, times=[number * step for number in range(len(packets))])
        units = wire.units(map(len, packets))
        return ReceiveMeasurement(
            cycles=cycles,
            seconds=1.0,
            packets_in=len(packets) - found.overruns,
            bytes_in=sum(map(len, packets)),
            overruns=found.overruns,
            frames=len(found.deliveries),
            packets=sum(one.packets for one in found.deliveries),
            bytes_out=0,
            lost=found.lost,
            wire_units=units,
            line_units=Fraction(units),
        )


def up(one: delivery.Delivery, last: int) -> Delivery:
    return Delivery(
        data=one.frame,
        vports=sum(1 << vport for vport in one.vports),
        packets=one.packets,
        cycle=last + LATENCY,
        ip_status=ChecksumStatus[one.ip_checksum.upper()],
        l4_status=ChecksumStatus[one.l4_checksum.upper()],
        gso_size=one.gso_size,
        slow=one.slow is not None,
    )
