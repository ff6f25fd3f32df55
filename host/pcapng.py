"""The capture format pcapng: blocks, of which a reader skips what it does not know (draft-ietf-opsawg-pcapng).

::

    type 4 │ length 4 │ body, padded to 4 bytes │ length 4
    options, at the end of a body: code 2 │ length 2 │ value, padded to 4 bytes; code 0 ends them

A section header sets the byte order and forgets the interfaces; an interface block says the link type and the unit of
its timestamps; packets name their interface.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct, error, pack, unpack_from

from host.packets import CapturedPacket, CaptureError

SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
MAGIC = bytes.fromhex("0a0d0d0a")
ORDERS = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}
COMMENT, NAME, USER_APPLICATION, RESOLUTION, FCS_LENGTH, OFFSET = 1, 2, 4, 9, 13, 14
ETHERNET = 1
SECOND = 1_000_000_000
BLOCK_OVERHEAD = 12  # bytes: type, and the length twice


@dataclass(frozen=True)
class Interface:
    """Ticks a second and seconds to add tell the time; `snap` bytes of a packet are kept (0: all), less `fcs`."""

    link_type: int
    snap: int
    ticks: int
    offset: int
    fcs: int

    def time_ns(self, high: int, low: int) -> int:
        return self.offset * SECOND + (high << 32 | low) * SECOND // self.ticks


def read(data: bytes) -> Iterator[CapturedPacket]:
    """The packets of a file's bytes. Raises CaptureError where it is cut short, broken or not Ethernet."""
    order, interfaces, number = "<", list[Interface](), 1
    at = 0
    while at < len(data):
        if len(data) - at < BLOCK_OVERHEAD:
            raise truncated(number)
        if data[at : at + 4] == MAGIC:
            order, interfaces = byte_order(data[at + 8 : at + 12]), []
        kind, size = unpack_from(order + "II", data, at)
        if size < BLOCK_OVERHEAD or size % 4:
            raise CaptureError(f"broken capture: the block at byte {at} says that it takes {size} bytes")
        if at + size > len(data):
            raise truncated(number)
        if unpack_from(order + "I", data, at + size - 4)[0] != size:
            raise CaptureError(f"broken capture: the two lengths of the block at byte {at} differ")
        body = data[at + 8 : at + size - 4]
        at += size
        try:
            if kind == INTERFACE:
                interfaces.append(interface(body, order))
            elif kind in (ENHANCED_PACKET, SIMPLE_PACKET, OLD_PACKET):
                yield packet(kind, body, order, interfaces)
                number += 1
        except (error, IndexError):
            raise CaptureError(f"broken capture: packet {number} does not fit its block") from None


def truncated(number: int) -> CaptureError:
    return CaptureError(f"truncated capture: it ends inside packet {number} or the block before it")


def byte_order(magic: bytes) -> str:
    if magic not in ORDERS:
        raise CaptureError("broken capture: a section has no byte-order magic")
    return ORDERS[magic]


def interface(body: bytes, order: str) -> Interface:
    link_type, snap = unpack_from(order + "HxxI", body)
    ticks, offset, fcs = 1_000_000, 0, 0
    for code, value in options(body[8:], order):
        if code == RESOLUTION and value:
            ticks = (2 if value[0] & 0x80 else 10) ** (value[0] & 0x7F)
        elif code == FCS_LENGTH and value:
            fcs = value[0] if value[0] <= 8 else value[0] // 8  # the draft says bits, its example and writers bytes
        elif code == OFFSET and len(value) == 8:
            (offset,) = unpack_from(order + "q", value)
    return Interface(link_type, snap, ticks, offset, fcs)


def packet(kind: int, body: bytes, order: str, interfaces: list[Interface]) -> CapturedPacket:
    """A packet of one of the three kinds of block. Raises IndexError or struct.error where the block is too short."""
    high = low = 0
    if kind == SIMPLE_PACKET:
        (length,) = unpack_from(order + "I", body)
        source, start = interfaces[0], 4
        here = min(length, source.snap or length)
    else:
        layout = Struct(order + ("IIIII" if kind == ENHANCED_PACKET else "HxxIIII"))
        number, high, low, here, length = layout.unpack_from(body)
        source, start = interfaces[number], layout.size
    end = start + here
    if end > len(body):
        raise IndexError
    if source.link_type != ETHERNET:
        raise CaptureError(f"link type {source.link_type} is not Ethernet ({ETHERNET})")
    after = [] if kind == SIMPLE_PACKET else options(body[end + -end % 4 :], order)
    comments = tuple(value.decode("utf-8", "replace") for code, value in after if code == COMMENT)
    return CapturedPacket(body[start:end], source.time_ns(high, low), comments, length).without_fcs(source.fcs)


def options(data: bytes, order: str) -> list[tuple[int, bytes]]:
    """Code and value of each option."""
    found, at = [], 0
    while at + 4 <= len(data):
        code, size = unpack_from(order + "HH", data, at)
        if code == 0:
            break
        found.append((code, data[at + 4 : at + 4 + size]))
        at += 4 + size + -size % 4
    return found


def encode(packets: Iterable[CapturedPacket], interfaces: Sequence[str] = ("",)) -> Iterator[bytes]:
    """A file with nanosecond timestamps, interfaces by their names and the packets' comments, block by block."""
    yield block(SECTION, pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(USER_APPLICATION, b"tunnelnic") + END)
    for name in interfaces:
        named = option(NAME, name.encode()) if name else b""
        yield block(INTERFACE, pack("<HxxI", ETHERNET, 0) + named + option(RESOLUTION, b"\x09") + END)
    for one in packets:
        time = pack("<II", one.time_ns >> 32, one.time_ns & 0xFFFFFFFF)
        comments = b"".join(option(COMMENT, comment.encode()) for comment in one.comments)
        sizes = pack("<II", len(one.data), one.length)
        yield block(
            ENHANCED_PACKET,
            pack("<I", one.interface) + time + sizes + padded(one.data) + (comments + END if comments else b""),
        )


END = bytes(4)


def block(kind: int, body: bytes) -> bytes:
    size = len(body) + BLOCK_OVERHEAD
    return pack("<II", kind, size) + body + pack("<I", size)


def option(code: int, value: bytes) -> bytes:
    return pack("<HH", code, len(value)) + padded(value)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
