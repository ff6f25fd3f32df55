"""Which of a configuration's rows a card that was just switched on need not be told."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Write = TypeVar("Write", bound=tuple[int, int, int])


def changes(writes: Iterable[Write]) -> Iterator[Write]:
    """The writes of (table, row, data) that change something, in order, where all rows are zero at first.

    Most rows of most configurations are zeros: a card after power-up has them so.
    """
    rows: dict[tuple[int, int], int] = {}
    for write in writes:
        table, row, data = write
        if rows.get((table, row), 0) != data:
            rows[table, row] = data
            yield write
