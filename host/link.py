"""Two cards and the wire between them, all simulated.

::

    frames ── transmit card ── packets, wire times ──┬── receive card ── deliveries
       │                                             └ lost, slowed down, interleaved: as the caller likes
       └──────────────────────── ledger: every byte, once ──────────────────┘

Time is that of the wire: nanoseconds from the first packet's preamble. A delivery's time is when the card hands the
frame up, all of its bytes being in host memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from os import sched_getaffinity
from typing import TYPE_CHECKING, Any, TypeVar

from driver import receive, tables
from driver.receive import Receive, Terminate, Vport
from hdl.config import NicConfig
from host import wire
from host.config import Config
from host.errors import Mismatch, UserError
from host.flows import FAR, vport_mac
from host.ledger import Ledger
from host.progress import Advance
from host.simulation import open_card
from sim.model.card import Card
from sim.model.receive.decapsulate import CRITICAL, geneve_options

if TYPE_CHECKING:
    from sim.card import Frame, VirtualCard
    from sim.card.receive import VirtualReceiver

Result = TypeVar("Result")
Place = TypeVar("Place")
PREAMBLE = 8


def far_end(config: Config, card: int = FAR) -> Receive:
    """What the card at the other end of every tunnel is told: it ends them, and has the vports that are meant."""
    vnets = [vnet.name for vnet in config.vnet]
    vnet_of = {entry.to: vnets.index(entry.vnet) for entry in config.forward}
    bare = vnet_of.get(("uplink", ""))
    entries = [
        Terminate(
            encapsulation=tunnel.encapsulation,
            local=tunnel.remote,
            vnet=vnet_of["tunnel", tunnel.name],
            key=tunnel.key,
            udp_checksum="optional" if tunnel.encapsulation in ("vxlan", "geneve") else None,
        )
        for tunnel in config.tunnel
    ]
    vports = {
        index: Vport(vnet=vnets.index(vport.vnet), mac=vport_mac(card, index))
        for index, vport in enumerate(config.vport)
    }
    options = dict.fromkeys(option for tunnel in config.tunnel for option in critical(tunnel.options))
    return Receive(
        terminate=list(dict.fromkeys(entries)),
        vports=vports,
        uplink={} if bare is None else {None: bare},
        options=list(options),
    )


def critical(options: bytes) -> list[tuple[int, int]]:
    """Class and type of the Geneve options that whoever ends the tunnel has to know."""
    return [(group, kind) for group, kind in geneve_options(options) if kind & CRITICAL]


def backwards(config: Config) -> Config:
    """The same network for the card at the other end when it sends."""
    tunnels = [
        tunnel.model_copy(update={"local": tunnel.remote, "remote": tunnel.local, "next_hop": config.uplink.mac})
        for tunnel in config.tunnel
    ]
    mac = config.tunnel[0].next_hop if tunnels else vport_mac(FAR, 0xFF)
    return config.model_copy(update={"uplink": config.uplink.model_copy(update={"mac": mac}), "tunnel": tunnels})


@dataclass(frozen=True)
class OnWire:
    """A packet between the cards. `start_ns`: of its preamble; `frame`: the number of the frame that it is of."""

    data: bytes
    start_ns: Fraction
    frame: int


@dataclass(frozen=True)
class Sent:
    """What frames became on the wire. `utilisation`: the part of its time in which the wire was busy."""

    frames: Sequence[Frame]
    packets: Sequence[OnWire]
    payload: int

    def end_ns(self, line_bps: int) -> Fraction:
        """When the last packet's gap is over."""
        last = self.packets[-1]
        return last.start_ns + Fraction(8 * 10**9 * wire.units([len(last.data)]), line_bps)

    def utilisation(self, line_bps: int) -> float:
        busy = Fraction(8 * 10**9 * wire.units(len(packet.data) for packet in self.packets), line_bps)
        return float(busy / (self.end_ns(line_bps) - self.packets[0].start_ns))


@dataclass(frozen=True)
class Arrived:
    """What came of packets at the far end.

    `payload`: bytes, each counted once, all as they were sent. `seconds`: from the first packet's preamble to the last
    delivery. `latencies`: cycles from the last byte of a frame's last packet on the wire to its delivery, one for each
    delivery that ends a frame. `drops`: packets that came to nothing, by reason; `overruns`: packets that the card was
    too slow for.
    """

    nic: NicConfig
    payload: int
    completions: int
    packets: int  # in these
    seconds: float
    latencies: Sequence[int]
    drops: dict[str, int]
    overruns: int
    open_peak: int

    @property
    def goodput_bps(self) -> float:
        return wire.rate(self.payload, self.seconds)

    @property
    def packets_per_completion(self) -> float:
        return self.packets / self.completions if self.completions else 0.0

    @property
    def lost(self) -> str:
        """What was dropped and why, for a message."""
        reasons = [f"{name} {number:,}" for name, number in self.drops.items()]
        return ", ".join([*reasons, *([f"overruns {self.overruns:,}"] if self.overruns else [])]) or "nothing"


class Link:
    """One direction: a card that transmits, and one that receives."""

    def __init__(self, nic: NicConfig, near: VirtualCard, far: Any) -> None:
        self.nic, self.near, self.far = nic, near, far

    def transmit(self, config: Config, frames: Sequence[Frame]) -> Sent:
        """Frames of one size each, the next one always waiting. Raises Mismatch if one does not get out."""
        self.near.reset()
        tables.program(self.near, config.driver_network(), self.nic.width, fresh=True)
        result = self.near.transmit(frames)
        found = result.packets
        first = frames[0]
        each = len(Card(config.model_network()).transmit(first.data, vport=first.vport, gso_size=first.gso_size))
        if len(found) != each * len(frames) or not found:
            raise Mismatch(f"{len(frames)} frames became {len(found)} packets, not {each * len(frames)}")
        start = found[0].start_ns
        packets = [
            OnWire(packet.data, packet.start_ns - start, result.order[at // each]) for at, packet in enumerate(found)
        ]
        return Sent(frames, packets, Ledger(frames).payload)

    def receive(self, config: Config, sent: Sent, packets: Sequence[OnWire], card: int = FAR) -> Arrived:
        """Give packets to the receiving card, all or some of those that were sent, and check all that it hands up."""
        self.far.reset()
        receive.program(self.far, far_end(config, card), fresh=True)
        on_wire = [packet.data.ljust(wire.SHORTEST, b"\0") for packet in packets]
        result = self.far.receive(on_wire, times=[packet.start_ns for packet in packets])
        return self._account(result, sent, packets)

    def _account(self, result: Any, sent: Sent, packets: Sequence[OnWire]) -> Arrived:
        ledger, payload, last, latencies = Ledger(sent.frames), 0, 0, []
        in_at = {packet.frame: result.start_cycle + self.cycle(packet) for packet in packets}
        for delivery in result.deliveries:
            taken = ledger.take(delivery)
            payload += taken.payload
            last = max(last, delivery.cycle)
            if taken.frame is not None:
                latencies.append(delivery.cycle - in_at[taken.frame])
        return Arrived(
            nic=self.nic,
            payload=payload,
            completions=len(result.deliveries),
            packets=sum(delivery.packets for delivery in result.deliveries),
            seconds=(last + 1 - result.start_cycle) / self.nic.clock_hz if result.deliveries else 0.0,
            latencies=latencies,
            drops={reason.name.lower(): count for reason, count in result.lost.items()},
            overruns=result.overruns,
            open_peak=result.open_peak,
        )

    def cycle(self, packet: OnWire) -> int:
        """The cycle, from 0, in which a packet's last byte comes in."""
        end = packet.start_ns / 10**9 + Fraction(8 * (PREAMBLE + len(packet.data)), self.nic.line_bps)
        return ceil(end * self.nic.clock_hz) - 1


def whole(sent: Sent, arrived: Arrived) -> Arrived:
    """The same, if nothing is missing. Raises Mismatch."""
    if arrived.payload != sent.payload or arrived.packets != len(sent.packets):
        raise Mismatch(
            f"{arrived.payload:,} of {sent.payload:,} bytes and {arrived.packets:,} of {len(sent.packets):,} packets "
            f"arrived; lost: {arrived.lost}"
        )
    return arrived


@contextmanager
def open_link(nic: NicConfig) -> Iterator[Link]:
    """Both cards of a direction. Raises UserError where one cannot be built or gets stuck."""
    with open_card(nic, show=False) as near, open_receiver(nic) as far:
        yield Link(nic, near, far)


@contextmanager
def open_receiver(nic: NicConfig) -> Iterator[VirtualReceiver]:
    """A receiving card, with empty tables. Raises UserError where it cannot be built or gets stuck."""
    from sim.card import BuildError, CardError
    from sim.card.receive import VirtualReceiver

    try:
        with VirtualReceiver(nic) as card:
            yield card
    except (BuildError, CardError) as error:
        raise UserError(f"virtual card: {error}") from error


@contextmanager
def several(opened: Callable[[NicConfig], AbstractContextManager[Place]], nic: NicConfig) -> Iterator[list[Place]]:
    """Links or cards that can run at the same time: as many as there are cores for this process."""
    with ExitStack() as stack:
        yield [stack.enter_context(opened(nic)) for _ in sched_getaffinity(0)]


def spread(
    links: Sequence[Place], jobs: Sequence[tuple[str, Callable[[Place], Result]]], progress: Advance
) -> list[Result]:
    """The results of the jobs in order, as many at a time as there are links (or cards). The first error ends it."""
    free, done, doing = list(links), Counter[str](), [name for name, _ in jobs]
    with ThreadPoolExecutor(len(links)) as pool:

        def work(job: tuple[str, Callable[[Place], Result]]) -> Result:
            link = free.pop()
            try:
                return job[1](link)
            except UserError as error:
                raise type(error)(f"{job[0]}: {error}") from error
            finally:
                free.append(link)
                done["jobs"] += 1

        futures = [pool.submit(work, job) for job in jobs]
        results = []
        try:
            for number, future in enumerate(futures):
                progress(min(done["jobs"], len(jobs) - 1), len(jobs), doing[number])
                results.append(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        progress(len(jobs), len(jobs))
        return results


def one_after_the_other(packets: Iterable[OnWire], line_bps: int, load: float = 1.0) -> list[OnWire]:
    """The packets in a new order, at the given part of the line's rate: at 1 without a pause."""
    at, timed = Fraction(0), []
    step = Fraction(8 * 10**9, line_bps) / Fraction(load).limit_denominator(10**6)
    for packet in packets:
        timed.append(OnWire(packet.data, at, packet.frame))
        at += wire.units([len(packet.data)]) * step
    return timed
