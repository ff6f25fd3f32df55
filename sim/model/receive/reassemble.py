"""Put STT frames together, whatever order their fragments come in.

::

    0                                                total
    │ here │ hole │ here, first to come │ hole ....... │     a context: the bytes, and the list of holes
              ↑ a fragment must fall into one hole with every byte

The first-arriving fragment says how long the frame is and claims its memory; a frame is complete the moment that its
last hole closes. (The card has no bytes in its contexts: it places them into the host's memory as they come.)
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.model.receive.reasons import Dropped
from sim.model.receive.stt import Fragment

CE = 3


@dataclass
class Context:
    """An open frame."""

    total: int
    opened: float  # when its first-arriving fragment came
    data: bytearray
    holes: list[tuple[int, int]]  # (start, end) of what is missing, in order
    packets: int = 0
    tos: int = 0  # of the fragment at offset 0
    congested: bool = False  # CE on any fragment

    def add(self, one: Fragment, most_holes: int) -> None:
        start, end = one.offset, one.offset + len(one.data)
        touched = [hole for hole in self.holes if hole[0] < end and start < hole[1]]
        if not touched:
            raise Dropped("stt_duplicate")
        hole = touched[0]
        if not hole[0] <= start < end <= hole[1]:
            raise Dropped("stt_overlap")
        left = [(a, b) for a, b in ((hole[0], start), (end, hole[1])) if a < b]
        at = self.holes.index(hole)
        holes = self.holes[:at] + left + self.holes[at + 1 :]
        if len(holes) > most_holes:
            raise Dropped("stt_holes")
        self.holes = holes
        self.data[start:end] = one.data
        self.packets += 1
        self.congested |= one.tos & 3 == CE
        if start == 0:
            self.tos = one.tos


@dataclass(frozen=True)
class Whole:
    """A frame with all its bytes."""

    data: bytes
    tos: int  # the first fragment's, with CE if any fragment had it
    packets: int


@dataclass
class Reassembler:
    """All open frames, oldest first. `lost` is told of packets that were taken in and are given up: reason, number."""

    most: int
    timeout: float
    most_holes: int
    lost: Callable[[str, int], None]
    open: dict[tuple[bytes, bytes, int], Context] = field(default_factory=dict)
    peak: int = 0  # most frames that were open at once

    @property
    def held(self) -> int:
        """Packets in open contexts."""
        return sum(context.packets for context in self.open.values())

    def add(self, one: Fragment, now: float) -> Whole | None:
        """Take a fragment in; the frame, if it was the last one missing."""
        context = self.open.get(one.key)
        if context is None:
            context = Context(one.total, now, bytearray(one.total), [(0, one.total)])
        if one.total != context.total:
            raise Dropped("stt_total")
        context.add(one, self.most_holes)
        if not context.holes:
            self.open.pop(one.key, None)
            tos = context.tos | CE if context.congested else context.tos
            return Whole(bytes(context.data), tos, context.packets)
        if one.key not in self.open:
            if len(self.open) == self.most:
                self.give_up(next(iter(self.open)), "stt_evicted")
            self.open[one.key] = context
            self.peak = max(self.peak, len(self.open))
        return None

    def expire(self, now: float) -> None:
        """Give up what has been open for too long. Counted from the opening: a trickle keeps no frame alive."""
        for key, context in list(self.open.items()):
            if now - context.opened >= self.timeout:
                self.give_up(key, "stt_timeout")

    def give_up(self, key: tuple[bytes, bytes, int], reason: str) -> None:
        self.lost(reason, self.open.pop(key).packets)
