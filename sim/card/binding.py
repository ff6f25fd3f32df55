"""The compiled cards' C interface: what both directions have in common. Structures mirror those of the C++ files."""

import ctypes
from collections.abc import Callable, Iterable
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

Function = tuple[str, Any, list[Any]]
"""Name, result and arguments of a C function, without the card's handle."""


class Status(IntEnum):
    """Why the card stopped running."""

    RUNNING = 0  # it ran for as long as it was asked to
    IDLE = 1  # it took all that there was and has been quiet since
    STUCK = 2  # it has been quiet with work left
    BROKEN = 3  # it broke a rule of its interfaces


def words(*names: str) -> list[tuple[str, type]]:
    """Fields of a C structure, 64 bits each."""
    return [(name, c_uint64) for name in names]


class Rate(Structure):
    """`Rate`: ticks of wire time in a cycle and in a byte on the line; picoseconds a cycle."""

    _fields_ = words("ticks_per_cycle", "ticks_per_byte", "cycle_ps")


class Library:
    """One card in one shared library. Every call is a C function of the same name without the handle."""

    FUNCTIONS: ClassVar[Iterable[Function]] = ()  # of the direction

    def __init__(self, path: Path, rate: Rate, trace: Path | None) -> None:
        self._c = c = CDLL(str(path))
        c.card_new.restype, c.card_new.argtypes = c_void_p, [POINTER(Rate), c_char_p]
        common: list[Function] = [
            ("card_free", None, []),
            ("card_reset", None, []),
            ("card_run", c_int, [c_uint64, c_uint64, c_uint64]),
            ("card_write_row", None, [c_uint32, c_uint32, c_char_p]),
            ("card_read_counter", c_uint32, [c_uint32]),
        ]
        for name, result, arguments in (*common, *self.FUNCTIONS):
            function = getattr(c, name)
            function.restype, function.argtypes = result, [c_void_p, *arguments]
        self._card = c.card_new(byref(rate), None if trace is None else str(trace).encode())

    def close(self) -> None:
        """Frees the card. The library stays loaded."""
        if self._card:
            self._c.card_free(self._card)
            self._card = None

    def reset(self) -> None:
        self._c.card_reset(self._card)

    def run(self, cycles: int, *, settle: int, patience: int) -> Status:
        return Status(self._c.card_run(self._card, cycles, settle, patience))

    def write_row(self, table: int, row: int, data: bytes) -> None:
        self._c.card_write_row(self._card, table, row, data)

    def read_counter(self, index: int) -> int:
        return int(self._c.card_read_counter(self._card, index))

    def _kept(self, get: Callable[..., int], forget: Callable[..., None], head_bytes: int) -> tuple[bytes, bytes]:
        """A head for each thing kept, and their data; the card forgets them."""
        heads, data, size = c_void_p(), c_void_p(), c_uint64()
        count = get(self._card, byref(heads), byref(data), byref(size))
        copies = _copy(heads, count * head_bytes), _copy(data, size.value)
        forget(self._card)
        return copies


def _copy(start: c_void_p, size: int) -> bytes:
    return ctypes.string_at(start, size) if size else b""


KEPT = [POINTER(c_void_p), POINTER(c_void_p), POINTER(c_uint64)]
PUSHED = [c_char_p, c_uint64, c_char_p, c_uint64, c_int]
