"""The C interface of the receiving card: receive.cpp, line.h and upward.h."""

from ctypes import POINTER, Structure, byref, c_int, c_uint64, sizeof
from enum import IntEnum
from struct import Struct

from hdl.registers.receive import RX_REASON_BITS
from sim.card.binding import KEPT, PUSHED, Library, words

PACKET_HEAD = Struct("=2Q")  # bytes, ticks from now before which it does not begin


class FaultKind(IntEnum):
    """What a card did wrong: `FaultKind` of memory.h."""

    NONE = 0
    PLACE_UNSTABLE = 1
    DELIVERY_UNSTABLE = 2
    PLACE_BYTES = 3
    PLACE_JUMPS = 4
    PLACE_NOT_CLAIMED = 5
    PLACE_BEYOND = 6
    PLACE_TWICE = 7
    DELIVERY_NOT_CLAIMED = 8
    DELIVERY_LENGTH = 9
    DELIVERY_HOLE = 10
    DELIVERY_PATCH = 11


FAULTS = {
    FaultKind.PLACE_UNSTABLE: "a beat on `place` changed or was withdrawn before it was taken",
    FaultKind.DELIVERY_UNSTABLE: "a delivery changed or was withdrawn before it was taken",
    FaultKind.PLACE_BYTES: "a beat for buffer {handle:#06x} has {byte} valid bytes: a wrong number",
    FaultKind.PLACE_JUMPS: "a beat for buffer {handle:#06x} at byte {byte} does not go on where its placement was",
    FaultKind.PLACE_NOT_CLAIMED: "a placement at byte {byte} of buffer {handle:#06x}, which the card does not have",
    FaultKind.PLACE_BEYOND: "a placement in buffer {handle:#06x} goes beyond its last byte",
    FaultKind.PLACE_TWICE: "byte {byte} of buffer {handle:#06x} is placed twice",
    FaultKind.DELIVERY_NOT_CLAIMED: "a delivery of buffer {handle:#06x}, which the card does not have or did not claim",
    FaultKind.DELIVERY_LENGTH: "a delivery of {byte} bytes in buffer {handle:#06x}",
    FaultKind.DELIVERY_HOLE: "a delivery of buffer {handle:#06x}, whose byte {byte} was never placed",
    FaultKind.DELIVERY_PATCH: "a delivery of buffer {handle:#06x} with a patch at byte {byte}, beyond the frame's end",
}


class Options(Structure):
    """`CardOptions`."""

    _fields_ = words(
        *("input_pause", "place_pause", "delivery_pause", "seed", "line_rate", "fifo_bytes", "buffers"),
        *("idle", "timeout", "record", "once"),
    )


class Fault(Structure):
    """`Fault`."""

    _fields_ = words("kind", "cycle", "handle", "byte")


class State(Structure):
    """`CardState`: counts since reset and the handshakes of the last cycle."""

    _fields_ = [
        *words("cycle", "packets_in", "bytes_in", "line_bytes", "overruns", "frames", "packets_out", "bytes_out"),
        *words("buffers_out", "buffers_used", "buffers_peak", "held", "open", "open_peak"),
        *words("packets_left", "taken_of_packet", "inside", "i_valid", "i_ready", "place_valid", "place_ready"),
        *words("delivery_valid", "delivery_ready", "buffer_valid", "buffer_ready"),
        ("fault", Fault),
        ("lost", c_uint64 * (1 << RX_REASON_BITS)),
    ]


class Delivered(Structure):
    """`Delivered`."""

    _fields_ = words(
        *("offset", "size", "cycle", "last_byte_cycle", "vports", "queue", "gso_size", "tcpv6", "fixed_id"),
        *("ip_status", "l4_status", "packets", "slow", "hash", "vnet", "entry", "tunnelled", "tagged", "tci", "cut"),
    )


def delivered(heads: bytes, data: bytes) -> tuple[list[Delivered], bytes]:
    """Deliveries one by one, and their data as it is."""
    count = len(heads) // sizeof(Delivered)
    return list((Delivered * count).from_buffer_copy(heads)) if count else [], data


class ReceiveLibrary(Library):
    FUNCTIONS = (
        ("card_configure", None, [POINTER(Options)]),
        ("card_push", None, PUSHED),
        ("card_finish", None, []),
        ("card_flush", None, [c_int]),
        ("card_frames", c_uint64, KEPT),
        ("card_forget_frames", None, []),
        ("card_state", None, [POINTER(State)]),
    )

    def configure(self, options: Options) -> None:
        self._c.card_configure(self._card, byref(options))

    def push(self, data: bytes, heads: bytes, *, loop: bool) -> None:
        """`heads`: a PACKET_HEAD a packet, whose data lie one behind the other in `data`."""
        self._c.card_push(self._card, data, len(data), heads, len(heads) // PACKET_HEAD.size, loop)

    def finish(self) -> None:
        self._c.card_finish(self._card)

    def flush(self, flush: bool) -> None:
        self._c.card_flush(self._card, flush)

    def frames(self) -> tuple[list[Delivered], bytes]:
        """The deliveries kept, and their data; the card forgets them."""
        return delivered(*self._kept(self._c.card_frames, self._c.card_forget_frames, sizeof(Delivered)))

    def state(self) -> State:
        state = State()
        self._c.card_state(self._card, byref(state))
        return state
