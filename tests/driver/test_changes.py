"""A fresh card is told less than any card, and knows the same at every step."""

from collections.abc import Iterable
from random import Random

import pytest

from driver import receive, tables
from driver.changes import changes
from tests.driver.networks import for_driver
from tests.driver.table_card import TableCard
from tests.driver.test_receive import random_receive
from tests.support.networks import NETWORKS

Rows = dict[tuple[int, int], int]


def states(writes: Iterable[tuple[int, int, int]]) -> list[Rows]:
    """What the rows that are not zero are, each time that they are something else."""
    found: list[Rows] = [{}]
    for table, row, data in writes:
        now = {**found[-1], (table, row): data}
        now = {place: value for place, value in now.items() if value}
        if now != found[-1]:
            found.append(now)
    return found


@pytest.mark.parametrize("seed", range(10))
def test_every_step_and_no_more(seed: int) -> None:
    random = Random(seed)
    writes = [(random.randrange(2), random.randrange(3), random.randrange(3)) for _ in range(60)]
    told = list(changes(writes))
    assert states(told) == states(writes)
    assert len(told) == len(states(told)) - 1


def test_a_row_is_cleared_that_was_written() -> None:
    assert list(changes([(1, 2, 0), (1, 2, 5), (1, 2, 5), (1, 2, 0)])) == [(1, 2, 5), (1, 2, 0)]


def test_a_receive_configuration() -> None:
    of = random_receive(Random(1))
    told = list(changes(receive.writes(of)))
    assert states(told)[-1] == states(receive.writes(of))[-1]
    assert len(told) < len(receive.writes(of)) * 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_a_transmit_configuration(name: str) -> None:
    fresh, any_card = TableCard(), TableCard()
    tables.program(fresh, for_driver(NETWORKS[name]), 8, fresh=True)
    tables.program(any_card, for_driver(NETWORKS[name]), 8)
    assert fresh.rows == {place: data for place, data in any_card.rows.items() if data}
