"""Put STT frames together, whatever order their fragments come in.

::

    0                                                total
    │ here │ hole │ here, first to come │ hole ....... │     a context: the bytes, and the list of holes
              ↑ a fragment must fall into one hole with every byte

The first-arriving fragment says how long the frame is and claims its memory; a frame is complete the moment that its
last hole closes. (The card has no bytes in its contexts: it places them into the host's memory as they come.)

Room is made by second chance (`sim.model.slots`), with a share for each class of outer sources: whoever floods the card
with frames that never become whole takes the place of no more than its class's share.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.model.receive.reasons import Dropped
from sim.model.receive.stt import Fragment
from sim.model.slots import SecondChance

CE = 3


def source_class(address: bytes) -> int:
    """XOR of an outer source's 4-bit digits, 0 to 15."""
    digit = 0
    for byte in address:
        digit ^= byte >> 4 ^ byte & 15
    return digit


@dataclass
class Context:
    """An open frame."""

    total: int
    opened: float  # when its first-arriving fragment came
    data: bytearray
    holes: list[tuple[int, int]]  # (start, end) of what is missing, in order
    slot: int = -1
    packets: int = 0
    tos: int = 0  # of the fragment at offset 0
    first: int = 0  # bytes of that fragment
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
            self.tos, self.first = one.tos, len(one.data)


@dataclass(frozen=True)
class Whole:
    """A frame with all its bytes."""

    data: bytes
    tos: int  # the first fragment's, with CE if any fragment had it
    first: int  # bytes of the fragment at offset 0
    packets: int


@dataclass
class Reassembler:
    """All open frames, oldest first. `lost` is told of packets that were taken in and are given up: reason, number.

    A frame that comes in one packet needs no slot.
    """

    slots: SecondChance
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
        if context:
            self.slots.hit(context.slot)
        else:
            context = Context(one.total, now, bytearray(one.total), [(0, one.total)])
        if one.total != context.total:
            raise Dropped("stt_total")
        context.add(one, self.most_holes)
        if not context.holes:
            if one.key in self.open:
                self.slots.free(self.open.pop(one.key).slot)
            tos = context.tos | CE if context.congested else context.tos
            return Whole(bytes(context.data), tos, context.first, context.packets)
        if one.key not in self.open:
            context.slot = self.slots.insert(source_class(one.key[0]))
            for key, other in self.open.items():
                if other.slot == context.slot:
                    self.lost("stt_evicted", self.open.pop(key).packets)
                    break
            self.open[one.key] = context
            self.peak = max(self.peak, len(self.open))
        return None

    def expire(self, now: float) -> None:
        """Give up what has been open for too long. Counted from the opening: a trickle keeps no frame alive."""
        for key, context in list(self.open.items()):
            if now - context.opened >= self.timeout:
                self.slots.free(context.slot)
                self.lost("stt_timeout", self.open.pop(key).packets)
