"""The C interface of the transmitting card: transmit.cpp, host.h, mac.h and upward.h."""

from ctypes import POINTER, Structure, byref, c_uint32, c_uint64, c_void_p, sizeof
from struct import Struct

from hdl.registers.receive import RX_REASON_BITS
from sim.card.binding import KEPT, PUSHED, Library, words
from sim.card.binding_receive import Delivered, Fault, delivered

FRAME_HEAD = Struct("=IIHBB")  # bytes of data, bytes in the descriptor, gso_size, vport, accecn
PACKET = Struct("=5Q")  # offset of its data, bytes, start in ticks, first cycle, last cycle


class Options(Structure):
    """`CardOptions`."""

    _fields_ = words(
        *("input_pause", "output_pause", "seed", "fifo_bytes", "record", "places", "quantum"),
        *("place_pause", "delivery_pause", "buffers"),
    )


class State(Structure):
    """`CardState`: counts since reset and the handshakes of the last cycle."""

    _fields_ = [
        *words("cycle", "frames_in", "bytes_in", "packets", "bytes_out", "line_bytes", "busy_ticks"),
        *words("underruns", "malformed", "unstable", "wrong_turns", "frames_waiting", "taken_of_frame"),
        *words("inside", "given_of_packet", "i_valid", "i_ready", "o_valid", "o_ready"),
        *words("local_frames", "local_bytes", "buffers_used", "buffers_peak"),
        ("fault", Fault),
        ("lost", c_uint64 * (1 << RX_REASON_BITS)),
    ]


class TransmitLibrary(Library):
    FUNCTIONS = (
        ("card_configure", None, [POINTER(Options)]),
        ("card_push", None, PUSHED),
        ("card_finish", None, []),
        ("card_packets", c_uint64, KEPT),
        ("card_order", c_uint64, [POINTER(c_void_p)]),
        ("card_forget_packets", None, []),
        ("card_frames", c_uint64, KEPT),
        ("card_forget_frames", None, []),
        ("card_state", None, [POINTER(State)]),
    )

    def configure(self, options: Options) -> None:
        self._c.card_configure(self._card, byref(options))

    def push(self, data: bytes, heads: bytes, *, loop: bool) -> None:
        """`heads`: a FRAME_HEAD a frame, whose data lie one behind the other in `data`."""
        self._c.card_push(self._card, data, len(data), heads, len(heads) // FRAME_HEAD.size, loop)

    def finish(self) -> None:
        self._c.card_finish(self._card)

    def packets(self) -> tuple[bytes, bytes]:
        """A PACKET for each packet kept, and their data; the card forgets them."""
        return self._kept(self._c.card_packets, self._c.card_forget_packets, PACKET.size)

    def frames(self) -> tuple[list[Delivered], bytes]:
        """The deliveries to other vports kept, and their data; the card forgets them."""
        return delivered(*self._kept(self._c.card_frames, self._c.card_forget_frames, sizeof(Delivered)))

    def order(self) -> list[int]:
        """Numbers of the frames pushed, in the order in which the card asked for them."""
        numbers = c_void_p()
        count = self._c.card_order(self._card, byref(numbers))
        return list((c_uint32 * count).from_address(numbers.value)) if count and numbers.value else []

    def state(self) -> State:
        state = State()
        self._c.card_state(self._card, byref(state))
        return state
