"""Deficit round robin: everybody's turn, and nobody gets more of the wire by sending larger frames."""

from itertools import takewhile
from random import Random

import pytest

from sim.model.fair import deficit_round_robin


def test_by_hand():
    waiting = {0: [200, 750], 1: [500, 500], 2: [600], 5: [100, 100, 100]}
    order = list(deficit_round_robin(waiting, 500))
    assert order == [(0, 0), (1, 0), (5, 0), (5, 1), (5, 2), (0, 1), (1, 1), (2, 0)]


def test_what_is_left_of_a_turn_is_for_the_next():
    assert list(deficit_round_robin({0: [300, 600], 1: [1, 900, 1]}, 450)) == [(0, 0), (1, 0), (0, 1), (1, 1), (1, 2)]


@pytest.mark.parametrize("quantum", [1, 60, 1514, 65535])
@pytest.mark.parametrize("seed", range(10))
def test_everyone_gets_as_much(seed: int, quantum: int):
    """While all have something waiting their bytes differ by less than a quantum and the longest frame, either way."""
    random = Random(seed)
    waiting = {vport: [random.randint(60, 65535) for _ in range(20)] for vport in range(3)}
    waiting[3] = [60] * 5000
    sent = dict.fromkeys(waiting, 0)
    order = list(deficit_round_robin(waiting, quantum))
    assert sorted(order) == sorted((vport, n) for vport, lengths in waiting.items() for n in range(len(lengths)))
    for vport in waiting:
        assert [n for other, n in order if other == vport] == list(range(len(waiting[vport])))
    left = {vport: len(lengths) for vport, lengths in waiting.items()}
    for vport, number in takewhile(lambda _: all(left.values()), order):
        left[vport] -= 1
        sent[vport] += waiting[vport][number]
        assert max(sent.values()) - min(sent.values()) < quantum + 2 * 65535


def test_nobody_waits():
    assert list(deficit_round_robin({}, 1)) == list(deficit_round_robin({1: []}, 1)) == []
    with pytest.raises(ValueError, match="quantum 0"):
        list(deficit_round_robin({0: [1]}, 0))
