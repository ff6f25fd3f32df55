"""Second chance: who makes room, against the rule written down again in another way."""

from collections import deque
from random import Random

import pytest

from sim.model.slots import SecondChance


def test_unused_slots_first_from_the_hand_on():
    slots = SecondChance(4, 4)
    assert [slots.insert(0) for _ in range(4)] == [0, 1, 2, 3]
    slots.free(2)
    slots.free(0)
    slots.hit(1)
    assert [slots.insert(0), slots.insert(0)] == [0, 2]
    assert slots.used == 4 and slots.slots[1].ref, "nobody was passed over for want of room"


def test_a_mark_is_one_more_chance():
    slots = SecondChance(3, 3)
    for _ in range(3):
        slots.insert(0)
    slots.hit(0)
    slots.hit(1)
    assert slots.insert(0) == 2
    assert [slot.ref for slot in slots.slots] == [False] * 3
    assert slots.insert(0) == 0


def test_all_marked():
    slots = SecondChance(3, 3)
    for number in (0, 1, 2, 0):
        assert slots.insert(0) == number
    for number in range(3):
        slots.hit(number)
    assert slots.insert(0) == 1, "where the hand is"
    assert not any(slot.ref for slot in slots.slots)


def test_a_class_at_its_quota_makes_room_among_its_own():
    slots = SecondChance(4, 2)
    assert [slots.insert(kind) for kind in (1, 2, 1, 1)] == [0, 1, 2, 0], "even while there is an unused one"
    slots.hit(2)
    assert slots.insert(1) == 0, "from the hand on 2 has a mark"
    assert slots.insert(1) == 2
    assert slots.insert(3) == 3, "below its quota, the unused one"
    assert slots.insert(3) == 0, "or, if there is none, from anybody"
    assert slots.insert(3) == 3, "at its quota again"


def test_a_bound_that_is_not_strict_counts_when_all_are_in_use():
    slots = SecondChance(4, 2, strict=False)
    assert [slots.insert(kind) for kind in (1, 2, 1, 1)] == [0, 1, 2, 3], "while there is room, anybody may have more"
    slots.hit(0)
    assert slots.insert(1) == 2, "from the hand on 0 has a mark"
    assert slots.insert(1) == 3
    assert slots.insert(3) == 0, "below its quota, from anybody"
    assert slots.insert(1) == 2


@pytest.mark.parametrize(("size", "quota"), [(0, 1), (4, 0), (4, 5)])
def test_quota(size: int, quota: int):
    with pytest.raises(ValueError, match="quota"):
        SecondChance(size, quota)


class Ring:
    """The same as a ring that turns under the hand: `[used, class, ref, number]` from the hand on."""

    def __init__(self, size: int, quota: int, strict: bool):
        self.strict = strict
        self.ring = deque([False, 0, False, number] for number in range(size))
        self.quota = quota

    def slot(self, number: int) -> list:
        return next(slot for slot in self.ring if slot[3] == number)

    def insert(self, kind: int) -> int:
        own = [slot for slot in self.ring if slot[0] and slot[1] == kind]
        unused = any(not slot[0] for slot in self.ring) and not self.strict
        candidates = list(self.ring) if len(own) < self.quota or unused else own
        chosen = next((slot for slot in candidates if not slot[0]), None)
        for slot in candidates * 2 if chosen is None else ():
            if not slot[2]:
                chosen = slot
                break
            slot[2] = False
        assert chosen is not None
        chosen[:3] = [True, kind, False]
        while self.ring[-1] is not chosen:
            self.ring.rotate(-1)
        return chosen[3]


@pytest.mark.parametrize("seed", range(20))
def test_against_a_ring(seed: int):
    random = Random(seed)
    size = random.choice((1, 2, 8, 64))
    quota = random.randint(1, size)
    strict = random.random() < 0.5
    slots, ring = SecondChance(size, quota, strict=strict), Ring(size, quota, strict)
    for _ in range(2000):
        number = random.randrange(size)
        match random.randrange(5):
            case 0:
                slots.free(number)
                ring.slot(number)[0] = False
            case 1 | 2 if slots.slots[number].used:
                slots.hit(number)
                ring.slot(number)[2] = True
            case _:
                kind = random.choice((0, 0, 0, 1, 2))
                assert slots.insert(kind) == ring.insert(kind)
                assert slots.used <= size
