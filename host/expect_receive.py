"""What the reference model says that packets become, and how a card's deliveries compare with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from time import perf_counter

from host.expect import describe
from sim.model.parse import ETHERNET, parse
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.delivery import Delivery

AS_IT_CAME = {"frame", "vports", "slow", "packets", "queue", "gso_size", "tag", "cut"}
"""What is compared of a delivery on the slow path: nobody has looked into it."""


@dataclass(frozen=True)
class Expected:
    """`deliveries` in the model's order; `held`: packets in STT frames that are not whole at the end."""

    deliveries: list[Delivery]
    counters: dict[str, int]
    held: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """`checked` frames were compared, a copy for each vport; `mismatches` differ, are missing or are too many.

    Each counter that differs is a mismatch too. `reordered`: places in the vports' order where another frame stands
    than in the model's; only the order in a flow is a promise.
    """

    checked: int
    mismatches: int
    first: str | None
    reordered: int


def expect(settings: ReceiveSettings, packets: Sequence[bytes], times: Sequence[int]) -> Expected:
    """Bring the packets to the model; `times`: nanoseconds at which each is there. Flushed at the end."""
    start = perf_counter()
    card, done = ReceiveCard(settings), list[Delivery]()
    for packet, time in zip(packets, times, strict=True):
        done += card.receive(packet, time)
    done += card.flush()
    return Expected(done, card.counters, card.held, perf_counter() - start)


def flow(frame: bytes) -> Hashable:
    """Frames of which none may overtake another."""
    if len(frame) < ETHERNET:
        return frame
    headers = parse(frame)
    ports = frame[headers.l4 : headers.l4 + 4] if headers.tcp or headers.udp else b""
    return frame[: headers.l3], headers.addresses if headers.ip_version else (), headers.protocol, ports


def by_vport(deliveries: Iterable[Delivery]) -> dict[int, list[Delivery]]:
    """Each vport's deliveries in their order."""
    found = defaultdict[int, list[Delivery]](list)
    for one in deliveries:
        for vport in one.vports:
            found[vport].append(one)
    return found


def compare(
    expected: Expected, deliveries: Sequence[Delivery], counters: dict[str, int], names: Sequence[str]
) -> Comparison:
    """One against the other: frame by frame in the order of each flow, and every counter that the model has.

    `names` are the vports'.
    """
    want, got = by_vport(expected.deliveries), by_vport(deliveries)
    checked, reordered, wrong = 0, 0, list[str]()
    for vport in sorted({*want, *got}):
        checked += max(len(want[vport]), len(got[vport]))
        mine = differences(want[vport], got[vport])
        wrong += [f"vport {names[vport]}: {difference}" for difference in mine]
        if not mine:
            reordered += sum(bool(difference(a, b)) for a, b in zip(want[vport], got[vport], strict=True))
    wrong += [
        f"counter {name} is {counters.get(name, 0)}, expected {number}"
        for name, number in expected.counters.items()
        if counters.get(name, 0) != number
    ]
    return Comparison(checked, len(wrong), wrong[0] if wrong else None, reordered)


def differences(expected: Sequence[Delivery], deliveries: Sequence[Delivery]) -> list[str]:
    """Of one vport, those of the earliest expected frame first.

    Frames of a flow that one side has more of than the other are compared with those of other flows: a frame that is
    wrong may look like another flow's.
    """
    flows = defaultdict[Hashable, tuple[list[tuple[int, Delivery]], list[tuple[int, Delivery]]]](lambda: ([], []))
    for side, frames in enumerate((expected, deliveries)):
        for number, one in enumerate(frames, 1):
            flows[flow(one.frame)][side].append((number, one))
    pairs = list[tuple[tuple[int, Delivery], tuple[int, Delivery]]]()
    left, over = list[tuple[int, Delivery]](), list[tuple[int, Delivery]]()
    for mine, theirs in flows.values():
        common = min(len(mine), len(theirs))
        pairs += zip(mine, theirs, strict=False)
        left += mine[common:]
        over += theirs[common:]
    found = [(number, f"frame {at} {what}") for (number, a), (at, b) in pairs if (what := difference(a, b))]
    for missing, extra in zip_longest(sorted(left, key=place), sorted(over, key=place)):
        if missing is None:
            found.append((extra[0], f"frame {extra[0]} is one too many"))
        elif extra is None:
            found.append((missing[0], f"frame {missing[0]} of {len(expected)} is missing"))
        else:
            found.append((missing[0], f"frame {extra[0]} {difference(missing[1], extra[1])}"))
    return [text for _, text in sorted(found, key=place)]


def place(numbered: tuple[int, object]) -> int:
    return numbered[0]


def difference(want: Delivery, got: Delivery) -> str:
    """The first fact that differs; empty if they are the same."""
    if want.frame != got.frame:
        return describe(0, want.frame, got.frame).removeprefix("packet 0 ")
    for field in fields(Delivery):
        name = field.name
        if not field.compare:  # the model's own: it is not handed up
            continue
        if want.slow and name not in AS_IT_CAME:
            continue
        if name == "fixed_id" and not want.gso_size:
            continue
        ours, theirs = getattr(want, name), getattr(got, name)
        if name == "slow":
            ours, theirs = bool(ours), bool(theirs)
        if ours != theirs:
            return f"has {name} {theirs}, expected {ours}"
    return ""
