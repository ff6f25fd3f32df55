"""Comparing deliveries with the model's: what differs is counted, and the first difference is told."""

from dataclasses import replace
from typing import Any

import pytest

from host.expect_receive import Comparison, Expected, compare
from sim.model.parse import parse
from sim.model.receive.delivery import Delivery
from sim.model.segment import finish
from tests.support.frames import arp, tcp_frame

NAMES = ("vm1", "vm2", "vm3")
COUNTERS = {"packets_in": 9, "drop.ecn": 1}


def one(flow: int, number: int, *vports: int, **more: Any) -> Delivery:
    """Frame `number` of a flow."""
    frame = finish(parse(tcp_frame(4, bytes([number]) * 20, ports=(flow, 80))))
    return Delivery(frame, vports or (0,), 7, **more)


A1, A2, B1, B2 = one(1, 1), one(1, 2), one(2, 1), one(2, 2)


def against(want: list[Delivery], got: list[Delivery], **counters: int) -> Comparison:
    return compare(Expected(want, COUNTERS, 0, 0.0), got, {**COUNTERS, "out_of_order": 5, **counters}, NAMES)


def test_equal():
    assert against([A1, A2, B1], [A1, A2, B1]) == Comparison(3, 0, None, 0)
    assert against([], []) == Comparison(0, 0, None, 0)


def test_flows_may_change_places_and_their_frames_may_not():
    assert against([A1, B1, A2], [B1, A1, A2]) == Comparison(3, 0, None, 2)
    swapped = against([A1, B1, A2], [A2, B1, A1])
    assert swapped.mismatches == 2 and swapped.first is not None
    assert swapped.first.startswith("vport vm1: frame 1 differs from byte 50 on: ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gso_size": 1000}, "has gso_size 1000, expected 0"),
        ({"queue": 3}, "has queue 3, expected 0"),
        ({"hash": 1}, "has hash 1, expected 0"),
        ({"vnet": 8}, "has vnet 8, expected 7"),
        ({"l4_checksum": "bad"}, "has l4_checksum bad, expected none"),
        ({"ip_checksum": "good"}, "has ip_checksum good, expected none"),
        ({"tag": 5}, "has tag 5, expected None"),
        ({"packets": 2}, "has packets 2, expected 1"),
        ({"cut": True}, "has cut True, expected False"),
        ({"slow": "yes"}, "has slow True, expected False"),
    ],
)
def test_every_fact_counts(change: dict[str, Any], told: str):
    assert against([A1, B1], [A1, replace(B1, **change)]) == Comparison(2, 1, f"vport vm1: frame 2 {told}", 0)


def test_what_nobody_looked_into():
    """On the slow path, and of one packet."""
    slow = Delivery(arp(), (1,), slow="outer_fragment")
    assert against([slow], [replace(slow, slow="slow", hash=9, vnet=9, l4_checksum="bad")]).mismatches == 0
    assert against([A1], [replace(A1, fixed_id=True)]).mismatches == 0
    large = replace(A1, gso_size=10)
    assert against([large], [replace(large, fixed_id=True)]).mismatches == 1
    assert against([slow], [replace(slow, slow=None)]).mismatches == 1


def test_a_frame_that_looks_like_another_flows_is_one_mismatch():
    """A broken address or port."""
    broken = replace(A1, frame=A1.frame[:35] + b"?" + A1.frame[36:])
    assert against([A1, A2, B1], [broken, A2, B1]).mismatches == 2, "in its flow the next one is no longer the second"
    assert against([B2, A1, B1], [B2, broken, B1]) == Comparison(
        3,
        1,
        "vport vm1: frame 2 differs from byte 35 on: 3f 00 50 00 00 00 01 01, expected 01 00 50 00 00 00 01 01",
        0,
    )


def test_missing_and_too_many():
    assert against([A1, B1, A2], [A1, B1]) == Comparison(3, 1, "vport vm1: frame 3 of 3 is missing", 0)
    assert against([A1], [A1, B1]) == Comparison(2, 1, "vport vm1: frame 2 is one too many", 0)


def test_a_copy_for_each_vport():
    both = one(1, 1, 0, 2)
    assert against([both], [both]) == Comparison(2, 0, None, 0)
    there = against([both], [replace(both, vports=(0, 1))])
    assert (there.checked, there.mismatches) == (3, 3)
    assert there.first == "vport vm1: frame 1 has vports (0, 1), expected (0, 2)"


def test_counters():
    assert against([A1], [A1], **{"drop.ecn": 2}) == Comparison(1, 1, "counter drop.ecn is 2, expected 1", 0)
