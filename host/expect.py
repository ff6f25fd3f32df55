"""What the reference model says a run must give, and how a run's packets compare with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from sim.model.card import Card
from sim.model.network import Network
from sim.model.parse import ETHERNET, parse
from sim.model.receive.delivery import Delivery

if TYPE_CHECKING:
    from sim.card import Frame


@dataclass(frozen=True)
class Expected:
    """`packets` in their order on the wire; `local`: frames for other vports; `payload`: TCP bytes of those sent."""

    packets: list[bytes]
    local: list[Delivery]
    payload: int
    counters: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """`checked` packets were compared, `mismatches` of them differ, are missing or are too many; `first`: the first."""

    checked: int
    mismatches: int
    first: str | None

    def and_also(self, other: Comparison) -> Comparison:
        """Both together."""
        return Comparison(self.checked + other.checked, self.mismatches + other.mismatches, self.first or other.first)


def expect(network: Network, frames: Sequence[Frame]) -> Expected:
    """Send the frames through the model."""
    start = perf_counter()
    card, packets, local, payload = Card(network), list[bytes](), list[Delivery](), 0
    for frame in frames:
        packets += card.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
        local += card.local
        if card.last_drop is None and not card.local:
            payload += tcp_payload(frame.data)
    return Expected(packets, local, payload, card.counters, perf_counter() - start)


def tcp_payload(frame: bytes) -> int:
    """Bytes of TCP payload; 0 for all but TCP frames whose headers are sound."""
    if len(frame) < ETHERNET:
        return 0
    headers = parse(frame)
    return headers.ip_end - headers.header_length if headers.tcp else 0


def compare(expected: Sequence[bytes], packets: Sequence[bytes]) -> Comparison:
    """One against the other, in order."""
    pairs = enumerate(zip(expected, packets, strict=False), 1)
    wrong = [(number, want, got) for number, (want, got) in pairs if want != got]
    missing = len(expected) - len(packets)
    first = None
    if wrong:
        first = describe(*wrong[0])
    elif missing:
        number = min(len(expected), len(packets)) + 1
        first = f"packet {number} of {len(expected)} is missing" if missing > 0 else f"packet {number} is one too many"
    return Comparison(max(len(expected), len(packets)), len(wrong) + abs(missing), first)


def describe(number: int, want: bytes, got: bytes) -> str:
    """Where a packet first differs."""
    at = next((at for at, (a, b) in enumerate(zip(want, got, strict=False)) if a != b), min(len(want), len(got)))
    lengths = "" if len(want) == len(got) else f"has {len(got)} bytes, expected {len(want)}; it "
    return (
        f"packet {number} {lengths}differs from byte {at} on: "
        f"{got[at : at + 8].hex(' ') or 'nothing'}, expected {want[at : at + 8].hex(' ') or 'nothing'}"
    )
