"""The contexts: which runs are open, and when they end."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from sim.model.coalesce.packet import Arrival, Delivery
from sim.model.coalesce.rules import alone, flow
from sim.model.coalesce.run import Run
from sim.model.parse import ETHERNET, parse
from sim.model.slots import SecondChance

LONGEST_IDLE = 500_000  # ns: the hard cap of the setting


@dataclass(frozen=True)
class Limits:
    """What coalescing may hold. The idle time runs from a flow's last packet, never from its frame's first."""

    contexts: int = 64  # flows that are remembered, and so runs that are open at once
    vnet_contexts: int = 64  # of one vnet
    idle: int = 200_000  # ns without a packet of the flow, after which its run is handed up

    def __post_init__(self) -> None:
        if not 1 <= self.vnet_contexts <= self.contexts:
            raise ValueError(f"vnet_contexts {self.vnet_contexts} is not 1 to contexts ({self.contexts})")
        if not 0 <= self.idle <= LONGEST_IDLE:
            raise ValueError(f"idle {self.idle} ns is not 0 to {LONGEST_IDLE}")


PRESETS = {"10g": Limits(), "100g": Limits(contexts=256, vnet_contexts=256, idle=20_000)}


class Coalescer:
    """Packets in, frames out; packets of one flow never overtake each other.

    A packet goes on with its flow's run, or ends it and starts the next, or ends it and passes alone. What is no TCP
    segment (fragments included: the later ones have no ports) passes at once and ends nothing.

    A flow whose run is over keeps its context. When one is needed and none is free, or the vnet has its share, second
    chance (`sim.model.slots`) makes room, in the latter case in the same vnet: one vnet's flood costs another nothing,
    and a flow that keeps sending keeps its context, however many flows of one packet there are beside it.
    """

    def __init__(self, limits: Limits = PRESETS["10g"]) -> None:
        self.limits = limits
        self.now = 0
        self.slots = SecondChance(limits.contexts, limits.vnet_contexts)
        self.slot_of: dict[Hashable, int] = {}  # of all flows that are remembered
        self.runs: dict[Hashable, Run] = {}  # idle longest first
        self.open_peak = 0

    def receive(self, arrival: Arrival) -> list[Delivery]:
        """The frames that are finished once this packet is here, those that its time expires first."""
        done = self.expire(arrival.time)
        headers = parse(arrival.frame) if len(arrival.frame) >= ETHERNET else None
        key = flow(arrival, headers) if headers else None
        if headers is None or key is None:
            return [*done, passed(arrival, "not_tcp")]
        if key in self.slot_of:
            self.slots.hit(self.slot_of[key])
        run, refusal = self.runs.get(key), alone(arrival, headers)
        if refusal:
            return [*done, *self.end(key, refusal), passed(arrival, refusal)]
        refusal = run.refuses(arrival, headers) if run else None
        if run and not refusal:
            run.append(arrival, headers)
            self.runs[key] = self.runs.pop(key)  # the latest of all again
        else:
            done += self.end(key, refusal or "")
            done += self.remember(key, arrival.vnet)
            run = self.runs[key] = Run(arrival, headers)
            self.open_peak = max(self.open_peak, len(self.runs))
        ended = run.ended()
        return [*done, *self.end(key, ended)] if ended else done

    def expire(self, now: int) -> list[Delivery]:
        """Time goes on: runs whose flow has been idle too long."""
        if now < self.now:
            raise ValueError(f"time goes back from {self.now} to {now} ns")
        self.now = now
        idle = [key for key, run in self.runs.items() if now - run.last_time >= self.limits.idle]
        return [delivery for key in idle for delivery in self.end(key, "idle")]

    def flush(self) -> list[Delivery]:
        """Hand up all that is open."""
        return [delivery for key in list(self.runs) for delivery in self.end(key, "flush")]

    def remember(self, key: Hashable, vnet: int) -> list[Delivery]:
        """Give a flow a context, if it has none; the run that was open there."""
        if key in self.slot_of:
            return []
        slot = self.slots.insert(vnet)
        before = next((other for other, taken in self.slot_of.items() if taken == slot), None)
        done = []
        if before is not None:
            done = self.end(before, "pressure")
            del self.slot_of[before]
        self.slot_of[key] = slot
        return done

    def end(self, key: Hashable, reason: str) -> list[Delivery]:
        """Close a flow's run, if there is one."""
        run = self.runs.pop(key, None)
        return [run.deliver(reason)] if run else []


def passed(arrival: Arrival, reason: str) -> Delivery:
    """A packet that goes up alone, as it came."""
    return Delivery((arrival,), arrival.frame, checksum=arrival.checksum, reason=reason)


def coalesce(arrivals: Iterable[Arrival], limits: Limits = PRESETS["10g"]) -> list[Delivery]:
    """All the frames that these packets become, everything flushed at the end."""
    coalescer = Coalescer(limits)
    done = [delivery for arrival in arrivals for delivery in coalescer.receive(arrival)]
    return done + coalescer.flush()
