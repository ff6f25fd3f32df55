"""Where to put exact-match entries: each has one possible row in each way, and makes room by moving others.

::

    way 0      way 1      way 2      way 3
    │ A │      │ C │      │ D │      │ E │        X's four rows are taken: the shortest chain of moves
      ▲          └────────────────▶  free         that ends in a free row is looked for, breadth first,
      X                                           here C moves over and X takes C's place
"""

from collections import deque
from collections.abc import Iterable

from hdl.registers.tables import EXACT_ROWS, EXACT_WAYS, exact_row

Key = tuple[int, int]
"""(vnet, MAC address as a number)"""


class NoRoom(ValueError):
    """The table cannot hold an entry, wherever the others are moved."""


def rows_of(key: Key) -> list[int]:
    """The rows in which a key may lie, one a way, numbered through the whole table."""
    return [way * EXACT_ROWS + exact_row(way, *key) for way in range(EXACT_WAYS)]


def place(keys: Iterable[Key]) -> dict[int, Key]:
    """A row for every key, row to key. The same keys in the same order give the same rows.

    Raises NoRoom only where no arrangement of the keys exists: the search is an augmenting path of bipartite matching.
    """
    table: dict[int, Key] = {}
    for key in keys:
        insert(table, key)
    return table


def insert(table: dict[int, Key], key: Key) -> None:
    """Put a key into the table, moving others where needed. Raises NoRoom and leaves the table as it was."""
    came_from: dict[int, int | None] = dict.fromkeys(rows_of(key))
    queue = deque(came_from)
    while queue:
        row = queue.popleft()
        if row not in table:
            table[make_room(table, came_from, row)] = key
            return
        for other in rows_of(table[row]):
            if other not in came_from:
                came_from[other] = row
                queue.append(other)
    vnet, mac = key
    raise NoRoom(
        f"the exact forwarding table has no room for MAC {mac.to_bytes(6, 'big').hex(':')} of vnet {vnet} "
        f"beside the {len(table)} entries it holds"
    )


def make_room(table: dict[int, Key], came_from: dict[int, int | None], free: int) -> int:
    """Move every entry of the chain one step towards the free row; the row that is free then."""
    while (row := came_from[free]) is not None:
        table[free] = table[row]
        free = row
    return free
