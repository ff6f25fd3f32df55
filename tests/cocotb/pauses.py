"""When a side of a stream makes a pause: a function that is asked once for every cycle in which it could go on."""

from collections.abc import Callable
from random import Random

Pause = Callable[[], bool]


def never() -> bool:
    return False


def always() -> bool:
    return True


def now_and_then(random: Random, chance: float) -> Pause:
    """In any cycle, with this chance."""
    draw = random.random
    return lambda: draw() < chance


def in_bursts(random: Random, longest: int = 60) -> Pause:
    """Up to `longest` cycles on, then up to `longest` cycles off."""
    left, off = 0, True

    def pause() -> bool:
        nonlocal left, off
        if not left:
            left, off = random.randint(1, longest), not off
        left -= 1
        return off

    return pause


def modes(random: Random) -> dict[str, tuple[Pause, Pause]]:
    """Pauses of the host's side and of the wire's side, by name."""
    return {
        "no pauses": (never, never),
        "host pauses": (now_and_then(random, 0.5), never),
        "wire pauses": (never, now_and_then(random, 0.5)),
        "both pause": (in_bursts(random), in_bursts(random)),
    }
