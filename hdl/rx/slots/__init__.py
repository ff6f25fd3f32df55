"""Which slot a flow or a frame has and which one makes room, where an event comes every seventh cycle at most."""

from hdl.rx.slots.second_chance import SecondChance
from hdl.rx.slots.tags import Tags

MOST_SLOTS = 64  # that one revolution gets round in time

__all__ = ["MOST_SLOTS", "SecondChance", "Tags"]
