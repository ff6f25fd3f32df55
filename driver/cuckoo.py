"""Where to put exact-match entries: each has one possible row in each way, and makes room by moving others.

::

    way 0      way 1      way 2      way 3
    │ A │      │ C │      │ D │      │ E │        X's four rows are taken: the shortest chain of moves
      ▲          └────────────────▶  free         that ends in a free row is looked for, breadth first,
      X                                           here C moves over and X takes C's place
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hdl.registers.exact import ExactTable

Key = tuple[int, ...]
"""The values of the key's fields, in the order of `ExactTable.key`."""


class NoRoom(ValueError):
    """The table cannot hold an entry, wherever the others are moved."""


@dataclass(frozen=True)
class Cuckoo:
    """Placement in one table; `describe` says for an error what has no room where."""

    table: ExactTable
    describe: Callable[[Key], str]

    def place(self, keys: Iterable[Key]) -> dict[int, Key]:
        """A place for every key, place to key. The same keys in the same order give the same places.

        Raises NoRoom only where no arrangement of the keys exists: the search is an augmenting path of bipartite
        matching.
        """
        placed: dict[int, Key] = {}
        for key in keys:
            self.insert(placed, key)
        return placed

    def insert(self, placed: dict[int, Key], key: Key) -> None:
        """Add a key, moving others where needed. Raises NoRoom and leaves what is placed as it was."""
        came_from: dict[int, int | None] = dict.fromkeys(self.table.places_of(key))
        queue = deque(came_from)
        while queue:
            at = queue.popleft()
            if at not in placed:
                placed[make_room(placed, came_from, at)] = key
                return
            for other in self.table.places_of(placed[at]):
                if other not in came_from:
                    came_from[other] = at
                    queue.append(other)
        raise NoRoom(f"{self.describe(key)} beside the {len(placed)} entries it holds")


def make_room(placed: dict[int, Key], came_from: dict[int, int | None], free: int) -> int:
    """Move every entry of the chain one step towards the free place; the place that is free then."""
    while (at := came_from[free]) is not None:
        placed[free] = placed[at]
        free = at
    return free
