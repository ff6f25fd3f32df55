"""A packet as a capture file holds it."""

from dataclasses import dataclass, replace


class CaptureError(ValueError):
    """A capture file cannot be used; the message is one line without the file's name."""


@dataclass(frozen=True)
class CapturedPacket:
    """`time_ns`: since 1970; `comments`: pcapng only; `length`: bytes on the wire, more than `data` where it was cut.

    A negative `length` is that of `data`. `interface`: in pcapng, the number of the one that it is written to.
    """

    data: bytes
    time_ns: int = 0
    comments: tuple[str, ...] = ()
    length: int = -1
    interface: int = 0

    def without_fcs(self, size: int) -> "CapturedPacket":
        """The same packet without the frame check sequence of `size` bytes that the capture says is at its end."""
        length = max(self.length - size, 0)
        return replace(self, data=self.data[:length], length=length) if size else self

    def __post_init__(self) -> None:
        if self.length < 0:
            object.__setattr__(self, "length", len(self.data))
