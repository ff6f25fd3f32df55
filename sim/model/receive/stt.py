"""STT's two headers, read: the TCP-like one of each fragment and the frame header in the first.

::

    fragment   │ ports 4 │ frame length 2 │ offset 2 │ identifier 4 │ data offset, flags, window, checksum, 0 │ bytes │
    frame      │ version 1 │ flags 1 │ L4 offset 1 │ 0 │ MSS 2 │ tag 2 │ context ID 8 │ padding 2 │ inner frame │
"""

from dataclasses import dataclass
from struct import unpack_from

from sim.model.parse import ETHERNET
from sim.model.receive import verify
from sim.model.receive.outer import Outer
from sim.model.receive.reasons import Dropped, SlowPath
from sim.model.stt import PARTIAL, STT_HEADER, TAG_PRESENT, TCP_LIKE, VERIFIED

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


@dataclass(frozen=True)
class Fragment:
    """Some bytes of an STT frame. The key says which frame: outer source, outer destination, identifier."""

    key: tuple[bytes, bytes, int]
    total: int  # bytes of the whole frame, its 18-byte header included
    offset: int
    data: bytes
    tos: int  # of the outer IP header


@dataclass(frozen=True)
class FrameHeader:
    """The 18 bytes at the start of an STT frame."""

    partial: bool  # the inner checksum holds the pseudo-header's sum only
    mss: int
    tag: int | None  # TCI of the tag that moved out of the inner frame; its drop bit is not carried
    context: int


NO_HEADER = FrameHeader(partial=False, mss=0, tag=None, context=0)  # what comes without STT


def fragment(outer: Outer) -> Fragment:
    """Read and verify one packet. Ports, PSH, window and urgent pointer say nothing here."""
    body = outer.body
    if len(body) < TCP_LIKE:
        raise Dropped("outer_length")
    total, offset, identifier, words, flags = unpack_from("!HHIBB", body, 4)
    start = 4 * (words >> 4)
    if not TCP_LIKE <= start <= len(body):
        raise Dropped("outer_length")
    if not verify.outer_l4(outer, body):
        raise Dropped("stt_checksum")
    if flags & (FIN | SYN | RST | ACK) != ACK:
        raise SlowPath("not_terminated")  # a real TCP connection to STT's port
    found = Fragment(
        (outer.source.packed, outer.destination.packed, identifier), total, offset, body[start:], outer.tos
    )
    check(found)
    return found


def check(one: Fragment) -> None:
    """What can be said of a fragment without knowing any other of its frame."""
    if not one.data:
        raise Dropped("stt_empty")
    if one.total < STT_HEADER + ETHERNET or one.offset + len(one.data) > one.total:
        raise Dropped("stt_length")
    if 0 < one.offset < STT_HEADER or (one.offset == 0 and len(one.data) < STT_HEADER):
        raise Dropped("stt_header")


def frame_header(data: bytes) -> FrameHeader:
    version, flags, mss, tag, context = unpack_from("!BBxxHHQ", data)
    if version:
        raise Dropped("stt_version")
    if flags & PARTIAL and flags & VERIFIED:
        raise Dropped("stt_flags")
    present = bool(tag & TAG_PRESENT)
    return FrameHeader(bool(flags & PARTIAL), mss, tag & ~TAG_PRESENT if present else None, context)
