"""The classic capture format, pcap: a file header, then a header and the bytes of each packet.

::

    magic 4 │ version 4 │ 0 8 │ snap length 4 │ link type 4      then, a packet:
    seconds 4 │ micro- or nanoseconds 4 │ bytes here 4 │ bytes on the wire 4 │ bytes ...

The magic's byte order is the file's (draft-ietf-opsawg-pcap). There is no packet comment in this format.
"""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from host.packets import CapturedPacket, CaptureError

SECOND = 1_000_000_000
MAGIC_NANOSECONDS = 0xA1B23C4D
FORMATS = {
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b23c4d"): (">", 1),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
}
"""Magic to byte order and nanoseconds a tick."""

ETHERNET = 1
LINK_TYPE_MASK = 0xFFFF
FCS_SAID, FCS_WORDS = 0x04000000, 28  # in the link type: a frame check sequence of so many 16-bit words is there
SNAP_LENGTH = 262_144
HEADER = "IHHiIII"
RECORD = "IIII"


def read(data: bytes) -> Iterator[CapturedPacket]:
    """The packets of a file's bytes. Raises CaptureError where it is cut short or not Ethernet."""
    order, tick = FORMATS[data[:4]]
    header, record = Struct(order + HEADER), Struct(order + RECORD)
    if len(data) < header.size:
        raise CaptureError("truncated capture: it ends inside the file header")
    link = header.unpack_from(data)[6]
    link_type, fcs = link & LINK_TYPE_MASK, 2 * (link >> FCS_WORDS) if link & FCS_SAID else 0
    if link_type != ETHERNET:
        raise CaptureError(f"link type {link_type} is not Ethernet ({ETHERNET})")
    at, number = header.size, 1
    while at < len(data):
        start = at + record.size
        if start > len(data):
            raise CaptureError(f"truncated capture: it ends inside packet {number}")
        seconds, ticks, here, on_wire = record.unpack_from(data, at)
        at = start + here
        if at > len(data):
            raise CaptureError(f"truncated capture: it ends inside packet {number}")
        yield CapturedPacket(data[start:at], seconds * SECOND + ticks * tick, length=on_wire).without_fcs(fcs)
        number += 1


def encode(packets: Iterable[CapturedPacket], _interfaces: Sequence[str] = ()) -> Iterator[bytes]:
    """A file with nanosecond timestamps, piece by piece; comments and interfaces have no place in it."""
    yield Struct("<" + HEADER).pack(MAGIC_NANOSECONDS, 2, 4, 0, 0, SNAP_LENGTH, ETHERNET)
    record = Struct("<" + RECORD)
    for packet in packets:
        yield record.pack(*divmod(packet.time_ns, SECOND), len(packet.data), packet.length)
        yield packet.data
