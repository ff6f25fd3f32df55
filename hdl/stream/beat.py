"""The beat: one cycle's worth of a packet stream.

Byte 0 of a packet is in bits 7..0 of its first beat; every beat but the last is full. As numbers, 16-bit words are in
network order: `words()` gives them so.
"""

from amaranth import Cat, Signal, Value
from amaranth.lib import data

FRAME_LENGTH_BITS = 17  # a frame has at most 65,597 bytes


class FrameMeta(data.Struct):
    """What the host says of a frame when it hands it over (virtio-net's facts)."""

    vport: 6  # index of the sender's vport
    length: FRAME_LENGTH_BITS  # bytes of the frame, as the descriptor says
    gso_size: 16  # bytes of TCP payload a segment; 0: do not segment
    accecn: 1  # leave CWR on every segment (RFC 9768)


def host_beat(width: int) -> data.StructLayout:
    """A beat from the host: `meta` counts on a frame's first beat. A frame of no bytes is one beat with `last`."""
    return data.StructLayout({"data": 8 * width, "last": 1, "meta": FrameMeta})


def wire_beat(width: int) -> data.StructLayout:
    """A beat to the uplink: `bytes` are valid (`width` on every beat but the last, where it is 1 to `width`)."""
    return data.StructLayout({"data": 8 * width, "bytes": range(width + 1), "last": 1})


def part_beat(width: int) -> data.StructLayout:
    """A beat of one part of a packet (outer header, inner headers, payload), in its final place in the packet's beats.

    ::

        outer   │ o o o o │ o o . . │            last of its part: join (the next part shares the beat), more
        inner             │ . . h h │ h h h . │  bytes outside the part are zero, so that joining is OR
    """
    return data.StructLayout(
        {
            "data": 8 * width,
            "last": 1,  # last beat of this part
            "more": 1,  # on `last`: another part of the packet follows
            "join": 1,  # on `last`: its first beat is this one
            "bytes": range(width + 1),  # valid bytes, counted on the packet's last beat only
        }
    )


def words(value: Value, count: int) -> list[Value]:
    """The first `count` 16-bit words of a beat's data as numbers in network order."""
    return [Cat(value[16 * i + 8 : 16 * i + 16], value[16 * i : 16 * i + 8]) for i in range(count)]


def swap16(value: Value) -> Value:
    """The two bytes of a 16-bit value exchanged."""
    return Cat(value[8:16], value[0:8])


def delayed(m, value, cycles: int, *, name: str = "delay"):
    """`value` (a Value, or a view of any layout) as it was `cycles` clock cycles ago; it has no reset."""
    shape = value.shape() if hasattr(value, "shape") else None
    for step in range(cycles):
        stage = Signal(shape, name=f"{name}_{step}", reset_less=True)
        m.d.sync += stage.eq(value)
        value = stage
    return value
