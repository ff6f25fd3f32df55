"""The compiled card's C interface. The structures mirror those of harness.cpp, host.h and mac.h."""

import ctypes
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p
from enum import IntEnum
from pathlib import Path
from struct import Struct

FRAME_HEAD = Struct("=IIHBB")  # bytes of data, bytes in the descriptor, gso_size, vport, accecn
PACKET = Struct("=5Q")  # offset of its data, bytes, start in ticks, first cycle, last cycle


class Status(IntEnum):
    """Why the card stopped running."""

    RUNNING = 0  # it ran for as long as it was asked to
    IDLE = 1  # it took all frames and has been quiet since
    STUCK = 2  # it has been quiet with frames or a packet left


def _words(*names: str) -> list[tuple[str, type]]:
    return [(name, c_uint64) for name in names]


class Rate(Structure):
    """`Rate`: ticks of wire time in a cycle and in a byte on the line; picoseconds a cycle."""

    _fields_ = _words("ticks_per_cycle", "ticks_per_byte", "cycle_ps")


class Options(Structure):
    """`CardOptions`."""

    _fields_ = _words("input_pause", "output_pause", "seed", "fifo_bytes", "record")


class State(Structure):
    """`CardState`: counts since reset and the handshakes of the last cycle."""

    _fields_ = _words(
        *("cycle", "frames_in", "bytes_in", "packets", "bytes_out", "line_bytes", "busy_ticks"),
        *("underruns", "malformed", "unstable", "frames_waiting", "taken_of_frame", "inside", "given_of_packet"),
        *("i_valid", "i_ready", "o_valid", "o_ready"),
    )


class Library:
    """One card in one shared library. Every call is a C function of the same name without the handle."""

    def __init__(self, path: Path, rate: Rate, trace: Path | None) -> None:
        self._c = c = CDLL(str(path))
        handle = c_void_p
        for name, result, arguments in (
            ("card_new", handle, [POINTER(Rate), c_char_p]),
            ("card_free", None, [handle]),
            ("card_reset", None, [handle]),
            ("card_configure", None, [handle, POINTER(Options)]),
            ("card_push", None, [handle, c_char_p, c_uint64, c_char_p, c_uint64, c_int]),
            ("card_finish", None, [handle]),
            ("card_run", c_int, [handle, c_uint64, c_uint64, c_uint64]),
            ("card_packets", c_uint64, [handle, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_uint64)]),
            ("card_forget_packets", None, [handle]),
            ("card_state", None, [handle, POINTER(State)]),
            ("card_write_row", None, [handle, c_uint32, c_uint32, c_char_p]),
            ("card_read_counter", c_uint32, [handle, c_uint32]),
        ):
            function = getattr(c, name)
            function.restype, function.argtypes = result, arguments
        self._card = c.card_new(byref(rate), None if trace is None else str(trace).encode())

    def close(self) -> None:
        """Frees the card. The library stays loaded."""
        if self._card:
            self._c.card_free(self._card)
            self._card = None

    def reset(self) -> None:
        self._c.card_reset(self._card)

    def configure(self, options: Options) -> None:
        self._c.card_configure(self._card, byref(options))

    def push(self, data: bytes, heads: bytes, *, loop: bool) -> None:
        """`heads`: a FRAME_HEAD a frame, whose data lie one behind the other in `data`."""
        self._c.card_push(self._card, data, len(data), heads, len(heads) // FRAME_HEAD.size, loop)

    def finish(self) -> None:
        self._c.card_finish(self._card)

    def run(self, cycles: int, *, settle: int, patience: int) -> Status:
        return Status(self._c.card_run(self._card, cycles, settle, patience))

    def packets(self) -> tuple[bytes, bytes]:
        """A PACKET for each packet kept, and their data; the card forgets them."""
        heads, data, size = c_void_p(), c_void_p(), c_uint64()
        count = self._c.card_packets(self._card, byref(heads), byref(data), byref(size))
        copies = _copy(heads, count * PACKET.size), _copy(data, size.value)
        self._c.card_forget_packets(self._card)
        return copies

    def state(self) -> State:
        state = State()
        self._c.card_state(self._card, byref(state))
        return state

    def write_row(self, table: int, row: int, data: bytes) -> None:
        self._c.card_write_row(self._card, table, row, data)

    def read_counter(self, index: int) -> int:
        return int(self._c.card_read_counter(self._card, index))


def _copy(start: c_void_p, size: int) -> bytes:
    return ctypes.string_at(start, size) if size else b""
