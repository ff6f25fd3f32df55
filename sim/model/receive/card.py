"""The receive side of the card as a whole: packets off the wire in, frames for vports out.

::

                                      ┌ STT frames, whole ───────────────────────────┐
    packet ── receiver ── one frame ──┼ all others ── coalescer ── super-segments ───┼── steer ── delivery
                 receiver.py          │               ../coalesce                    │   steer.py  delivery.py
                                      └ the slow path's, as they came ───────────────┘
"""

from dataclasses import dataclass, field

from sim.model.coalesce import coalescer
from sim.model.coalesce.coalescer import Coalescer, Limits
from sim.model.coalesce.packet import Arrival, Verified
from sim.model.parse import parse
from sim.model.receive import verify
from sim.model.receive.delivery import GSO_NONE, GSO_TCPV4, GSO_TCPV6, Delivery
from sim.model.receive.reasons import DROPS, SLOW, Dropped
from sim.model.receive.received import Received
from sim.model.receive.receiver import Receiver
from sim.model.receive.steer import Steering
from sim.model.receive.terminate import Settings

SECOND = 1_000_000_000  # ns


@dataclass(frozen=True)
class ReceiveSettings:
    """All that the receive side is told: whose packets are ours, how they are merged, to whom they go."""

    terminate: Settings = field(default_factory=Settings)
    coalesce: Limits = coalescer.PRESETS["10g"]
    steer: Steering = field(default_factory=Steering)

    def __post_init__(self) -> None:
        if self.terminate.slow_path != (self.steer.slow_path is not None):
            raise ValueError("there is a slow path exactly where a vport takes it")


NOTHING = Received(b"", None)


@dataclass(frozen=True)
class Inner(Arrival):
    """A frame on its way through the coalescer, with all that is known of it."""

    received: Received = NOTHING


class ReceiveCard:
    """The card with its settings, its open frames and its counters.

    Counters are of packets: packets_in = packets_delivered + packets_slow + all drop.<reason> + `held`; beside these
    frames_delivered, which counts a frame for several vports once. Times are nanoseconds, and never go back.
    """

    def __init__(self, settings: ReceiveSettings) -> None:
        self.settings = settings
        self.receiver = Receiver(settings.terminate)
        self.coalescer = Coalescer(settings.coalesce)
        self.number_of = {entry: number for number, entry in enumerate(settings.terminate.terminate)}
        self.open_peak = 0
        self.lost = dict.fromkeys(("no_vport", "bad_checksum"), 0)
        self.delivered = {"packets_delivered": 0, "frames_delivered": 0}

    @property
    def held(self) -> int:
        """Packets that wait for the rest of their frame, or for the next of their flow."""
        return self.receiver.held + sum(len(run.arrivals) for run in self.coalescer.runs.values())

    @property
    def open(self) -> int:
        """Frames that packets wait in."""
        return len(self.receiver.frames.open) + len(self.coalescer.runs)

    @property
    def counters(self) -> dict[str, int]:
        counted = self.receiver.counters
        return {
            "packets_in": counted["packets_in"],
            **self.delivered,
            "packets_slow": sum(counted[f"slow.{reason}"] for reason in SLOW),
            **{f"drop.{name}": counted[f"drop.{name}"] + self.lost.get(name, 0) for name in (*SLOW, *DROPS)},
        }

    def receive(self, packet: bytes, now: int = 0) -> list[Delivery]:
        """What is handed up once this packet is here, what its time expires first."""
        done = self.expire(now)
        one = self.receiver.receive(packet, now / SECOND)
        if one is not None:
            done += self._received(one, now)
        self.open_peak = max(self.open_peak, self.open)
        return done

    def expire(self, now: int) -> list[Delivery]:
        """Time goes on: super-segments whose flow is idle are handed up, old STT frames are given up."""
        self.receiver.expire(now / SECOND)
        return self._merged(self.coalescer.expire(now))

    def flush(self) -> list[Delivery]:
        """Hand up all super-segments that are open. STT frames wait on."""
        return self._merged(self.coalescer.flush())

    def _received(self, one: Received, now: int) -> list[Delivery]:
        if one.vnet is None:
            assert self.settings.steer.slow_path is not None
            return [Delivery(one.frame, (self.settings.steer.slow_path,), slow=one.slow)]
        if one.entry is not None and one.entry.encapsulation == "stt":
            return self._steer(
                one.vnet,
                one,
                one.frame,
                packets=one.packets,
                gso_size=one.gso_size,
                gso_type=gso_type(one.frame) if one.gso_size else GSO_NONE,
                ip_checksum=one.ip_checksum,
                l4_checksum=one.l4_checksum,
                tag=one.tag,
            )
        arrival = Inner(
            one.frame,
            now,
            one.vnet,
            (one.entry, one.source) if one.entry else None,
            checksum_of(one),
            one.outer,
            one.options,
            received=one,
        )
        return self._merged(self.coalescer.receive(arrival))

    def _merged(self, merged: list[coalescer.Delivery]) -> list[Delivery]:
        done = []
        for one in merged:
            first = one.arrivals[0]
            assert isinstance(first, Inner) and first.received.vnet is not None
            done += self._steer(
                first.received.vnet,
                first.received,
                one.frame,
                packets=one.segments,
                gso_size=one.gso_size,
                gso_type=one.gso_type,
                fixed_id=one.fixed_id,
                ip_checksum=first.received.ip_checksum,
                l4_checksum=verify.PARTIAL if one.segments > 1 else first.received.l4_checksum,
            )
        return done

    def _steer(
        self,
        vnet: int,
        one: Received,
        frame: bytes,
        *,
        packets: int,
        gso_size: int,
        gso_type: int,
        ip_checksum: str,
        l4_checksum: str,
        fixed_id: bool = False,
        tag: int | None = None,
    ) -> list[Delivery]:
        """To whom a frame of a vnet goes; nobody, and its packets are dropped."""
        steer = self.settings.steer
        try:
            vports = steer.steer(vnet, frame, bad=verify.BAD in (ip_checksum, l4_checksum))
        except Dropped as dropped:
            self.lost[str(dropped)] += packets
            return []
        self.delivered["frames_delivered"] += 1
        self.delivered["packets_delivered"] += packets
        return [
            Delivery(
                frame,
                vports,
                vnet,
                packets=packets,
                queue=steer.queue(vnet, frame, one.hash),
                hash=one.hash,
                gso_size=gso_size,
                gso_type=gso_type,
                fixed_id=fixed_id,
                ip_checksum=ip_checksum,
                l4_checksum=l4_checksum,
                tag=tag,
                cut=steer.must_cut(vnet, frame, gso_size),
                entry=None if one.entry is None else self.number_of[one.entry],
                peer=one.source,
            )
        ]


def gso_type(frame: bytes) -> int:
    return GSO_TCPV4 if parse(frame).ip_version == 4 else GSO_TCPV6


def checksum_of(one: Received) -> Verified:
    """What the coalescer has to know: a bad IP header spoils the packet too."""
    if verify.BAD in (one.ip_checksum, one.l4_checksum):
        return "bad"
    return "good" if one.l4_checksum == verify.GOOD else "none"
