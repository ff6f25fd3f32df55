"""Which of a bounded number of slots makes room: second chance (CLOCK), with a share for each class.

::

    slot     0     1     2     3     4     5          an insertion begins at the hand
             A     B'    A     -     C'    C          ': used since the hand last came by; -: unused
                   ↑ hand                             B' is passed over and loses its mark

A slot that is used again and again keeps its place, however many are used once beside it; and a class never has more
than its share, or once all slots are in use, if the bound is not strict.
"""

from dataclasses import dataclass


@dataclass
class Slot:
    used: bool = False
    kind: int = 0  # the class that it counts for
    ref: bool = False  # looked up since the hand last came by


class SecondChance:
    """`size` slots; a class that has `quota` of them makes room among its own; if not `strict`, once all are in use.

    Who is in a slot is the owner's to know.
    """

    def __init__(self, size: int, quota: int, *, strict: bool = True) -> None:
        if not 1 <= quota <= size:
            raise ValueError(f"quota {quota} is not 1 to the number of slots ({size})")
        self.slots = [Slot() for _ in range(size)]
        self.quota, self.strict = quota, strict
        self.hand = 0

    @property
    def used(self) -> int:
        return sum(slot.used for slot in self.slots)

    def of(self, kind: int) -> int:
        """Slots in use by a class."""
        return sum(slot.used and slot.kind == kind for slot in self.slots)

    def hit(self, number: int) -> None:
        """A lookup found what is in this slot."""
        self.slots[number].ref = True

    def insert(self, kind: int) -> int:
        """The slot for something new of this class; whoever is in it has to go."""
        everyone = self.of(kind) < self.quota or not (self.strict or self.used == len(self.slots))
        size = len(self.slots)
        candidates = [
            number
            for number in ((self.hand + step) % size for step in range(size))
            if everyone or (self.slots[number].used and self.slots[number].kind == kind)
        ]
        number = self._victim(candidates)
        self.hand = (number + 1) % size
        self.slots[number] = Slot(True, kind)
        return number

    def free(self, number: int) -> None:
        self.slots[number].used = False

    def _victim(self, candidates: list[int]) -> int:
        """The first that is unused; else the first without a mark, those in front of it losing theirs."""
        for number in candidates:
            if not self.slots[number].used:
                return number
        for number in candidates:
            if not self.slots[number].ref:
                return number
            self.slots[number].ref = False
        return candidates[0]
