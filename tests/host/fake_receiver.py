"""A receiving card for the tools' own tests: as the virtual one, but what happens inside is the reference model.

It needs no compiler. A frame is handed up `LATENCY` cycles after its last byte has come in.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, Self

from hdl.config import NicConfig
from hdl.registers.receive import ChecksumStatus
from host.config import Config
from host.flows import FAR, vport_mac
from sim.model.coalesce import coalescer
from sim.model.coalesce.packet import Arrival
from sim.model.receive.delivery import Delivery as Whole
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Settings
from tests.support.receivers import far_end

LATENCY = 40
START = 1234  # the cycle in which `receive` begins
VNET = 0


@dataclass(frozen=True)
class Delivery:
    """As the virtual card's, with what the tools read."""

    data: bytes
    vports: int
    packets: int
    cycle: int
    last_byte_cycle: int
    ip_status: ChecksumStatus
    l4_status: ChecksumStatus
    gso_size: int = 0
    slow: bool = False


@dataclass(frozen=True)
class Result:
    """Likewise."""

    deliveries: list[Delivery]
    overruns: int
    lost: dict[Any, int]
    open_peak: int = 1
    start_cycle: int = START


class FakeReceiver:
    """`spoil` changes deliveries on their way up; `too_slow` says which packets are lost for want of speed."""

    spoil: Callable[[list[Delivery]], list[Delivery]] = staticmethod(lambda deliveries: deliveries)
    too_slow: Callable[[int, Sequence[Fraction]], bool] = staticmethod(lambda number, times: False)

    def __init__(self, config: NicConfig, *, trace: Path | None = None, component: Any = None) -> None:
        self.config = config
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def reset(self) -> None:
        self.inside: Receiver | None = None
        self.macs: dict[bytes, int] = {}

    def program(self, sender: Config, card: int = FAR) -> None:
        """Take what `sender` sends."""
        entries = tuple(far_end(tunnel, vnet=VNET) for tunnel in sender.model_network().tunnels)
        self.inside = Receiver(Settings(entries, uplink={} if entries else {None: VNET}))
        self.macs = {vport_mac(card, index): index for index in range(len(sender.vport))}

    def receive(self, packets: Iterable[bytes], *, times: Sequence[Any]) -> Result:
        assert self.inside is not None, "it was not programmed"
        merge, found, overruns = coalescer.Coalescer(), list[Delivery](), 0
        for number, (packet, start) in enumerate(zip(packets, times, strict=True)):
            if type(self).too_slow(number, times):
                overruns += 1
                continue
            end = Fraction(start) / 10**9 + Fraction(8 * (8 + len(packet)), self.config.line_bps)
            last = START + ceil(end * self.config.clock_hz)
            one = self.inside.receive(packet, float(end))
            if one is not None:
                found += [replace(each, cycle=last + LATENCY, last_byte_cycle=last) for each in self.up(one, merge, end)]
        found += [
            replace(self.merged(each), cycle=last + LATENCY, last_byte_cycle=last) for each in merge.flush()
        ]
        lost = {name: count for name, count in self.inside.counters.items() if name.startswith("drop.") and count}
        assert not lost
        return Result(type(self).spoil(found), overruns, {})

    def up(self, one: Whole, merge: coalescer.Coalescer, now: Fraction) -> list[Delivery]:
        ip, l4 = (ChecksumStatus[name.upper()] for name in (one.ip_checksum, one.l4_checksum))
        if one.packets > 1 or one.gso_size:
            return [Delivery(one.frame, self.vport(one.frame), one.packets, 0, 0, ip, l4, one.gso_size)]
        verified = "good" if ChecksumStatus.GOOD == l4 else "none"
        arrival = Arrival(one.frame, int(now * 10**9), VNET, checksum=verified)  # type: ignore[arg-type]
        return [self.merged(each) for each in merge.receive(arrival)]

    def merged(self, each: Any) -> Delivery:
        l4 = ChecksumStatus[each.checksum.upper()]
        frame = each.frame
        return Delivery(frame, self.vport(frame), each.segments, 0, 0, ChecksumStatus.GOOD, l4, each.gso_size)

    def vport(self, frame: bytes) -> int:
        return 1 << self.macs[frame[:6]]
