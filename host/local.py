"""Frames that `tunnelnic segment` sees go to other vports of the same card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from host.expect import Comparison
from host.expect_receive import difference
from host.packets import CapturedPacket
from host.receive import comment
from host.receive_simulation import as_delivery
from host.simulation import Run
from sim.model.receive.delivery import Delivery

if TYPE_CHECKING:
    from sim.card.deliveries import Delivery as Delivered


def packets(done: Run) -> list[CapturedPacket]:
    """What other vports got, at the time at which it was handed over; an interface is a vport."""
    return [
        CapturedPacket(frame, done.time_ns(one), (comment(delivery, cut=delivery.cut),), interface=vport)
        for one, delivery in ((one, as_delivery(one)) for one in done.local)
        for vport in delivery.vports
        for frame in delivery.frames_for(vport)
    ]


def compare(expected: Sequence[Delivery], got: Sequence[Delivered]) -> Comparison:
    """Frames for other vports, one against the other with all that is said of them, in order."""
    pairs = enumerate(zip(expected, map(as_delivery, got), strict=False), 1)
    wrong = [f"frame {number} for another vport {what}" for number, (a, b) in pairs if (what := difference(a, b))]
    missing = len(expected) - len(got)
    if missing:
        wrong += [f"{len(got)} frames for other vports, expected {len(expected)}"] * abs(missing)
    return Comparison(max(len(expected), len(got)), len(wrong), wrong[0] if wrong else None)
