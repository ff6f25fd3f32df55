"""Sums of many words in a pipeline of beats."""

from collections.abc import Iterable

from amaranth import Cat, Mux, Signal

from hdl.net.sum16 import plus
from hdl.parse.pipe import BeatPipe

WORD = 16


def gated(word, bytes_inside):
    """A word of network order, with zeros for bytes (the first one first) that are not inside.

    In the register behind it that is a reset, which takes no logic.
    """
    first, second = bytes_inside
    return Cat(Mux(second, word[:8], 0), Mux(first, word[8:], 0))


def tree(pipe: BeatPipe, name: str, count: int) -> None:
    """Add up `{name}_0` .. `{name}_{count - 1}` to `{name}_0`, a level a stage."""
    while count > 1:
        terms = [getattr(pipe, f"{name}_{n}") for n in range(count)]
        count //= 2
        pipe.put(**{f"{name}_{n}": terms[2 * n] + terms[2 * n + 1] for n in range(count)})
        pipe.step()


def trees(pipe: BeatPipe, names: Iterable[str], count: int) -> None:
    """Several trees beside each other."""
    for name in names:
        tree(pipe.fork(), name, count)
    pipe.stage += (count - 1).bit_length()


def accumulate(pipe: BeatPipe, names: Iterable[str]) -> None:
    """Add up `{name}_0` from a frame's first beat on, one's complement, to the running sum `total_{name}`; 2 stages.

    ::

        terms ─ + fold ─ + ─ total          one 16-bit adder a stage; no sum grows with the length of the frame
                         └─◄┘
    """
    widths = {}
    for name in names:
        value = getattr(pipe, f"{name}_0")
        widths[name] = len(value) - WORD
        pipe.put(**{f"once_{name}": value[:WORD] + value[WORD:]})
    pipe.step()
    for name, high in widths.items():
        once = getattr(pipe, f"once_{name}")
        # where the carry is set, what it is added to is small: it stays within as many bits as were folded in
        word = Cat((once[:high] + once[WORD])[:high], once[high:WORD])
        carried = Signal(WORD + 1, name=f"carried_{name}")
        total = plus(carried, word)
        with pipe.m.If(pipe.valid):
            pipe.m.d.sync += carried.eq(Mux(pipe.last, 0, total))
        pipe.put(**{f"total_{name}": total})
    pipe.step()
