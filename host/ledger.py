"""What was sent, against what is handed up at the far end: every byte, once, to its vport, with true checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from hdl.registers.receive import ChecksumStatus
from host.errors import Mismatch
from sim.model.coalesce.rules import common
from sim.model.parse import Headers, parse
from sim.model.receive import verify
from sim.model.segment import finish

if TYPE_CHECKING:
    from sim.card import Frame

STATUS = {
    ChecksumStatus.NONE: verify.NONE,
    ChecksumStatus.GOOD: verify.GOOD,
    ChecksumStatus.BAD: verify.BAD,
    ChecksumStatus.PARTIAL: verify.PARTIAL,
}


@dataclass
class Stream:
    """One TCP connection: all that was written to it, and which bytes of it have arrived."""

    vport: int
    first: int  # sequence number
    common: bytes  # what the headers of all packets share
    gso_size: int
    data: bytearray = field(default_factory=bytearray)
    arrived: bytearray = field(default_factory=bytearray)
    ends: dict[int, int] = field(default_factory=dict)  # bytes up to the end of a frame: the frame's number


@dataclass(frozen=True)
class Taken:
    """A delivery that is right. `frame`: the number of the frame that ends with it, if it ends one."""

    payload: int
    frame: int | None


class Ledger:
    """Frames as they were sent; `take` checks a delivery against them and crosses it off.

    TCP frames that follow each other by sequence number are one stream, which may arrive in any pieces. Other frames
    arrive as they were sent, with their checksums complete.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.streams: dict[bytes, Stream] = {}
        self.whole: dict[bytes, list[int]] = {}  # frames as they must arrive: their numbers
        self.vports = [frame.vport for frame in frames]
        self.payload = 0
        for number, frame in enumerate(frames):
            headers = parse(frame.data)
            self.payload += len(headers.payload)
            if headers.tcp:
                self._write(number, frame, headers)
            else:
                self.whole.setdefault(finish(headers), []).append(number)

    def _write(self, number: int, frame: Frame, headers: Headers) -> None:
        key, sequence = name(headers), sequence_of(headers)
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = Stream(frame.vport, sequence, common(headers), frame.gso_size)
        if sequence != (stream.first + len(stream.data)) & 0xFFFFFFFF:
            raise ValueError(f"frame {number} does not go on where its connection was")
        stream.data += headers.payload
        stream.arrived += bytes(len(headers.payload))
        stream.ends[len(stream.data)] = number

    def take(self, delivery: Any) -> Taken:
        """Raises Mismatch, one line, for whatever is wrong with it."""
        if delivery.slow:
            raise Mismatch("a frame went the slow path")
        headers = parse(delivery.data)
        check_status(delivery, headers)
        taken = self._take_tcp(delivery, headers) if headers.tcp else self._take_whole(delivery)
        return taken

    def _take_tcp(self, delivery: Any, headers: Headers) -> Taken:
        stream = self.streams.get(name(headers))
        if stream is None:
            raise Mismatch("a TCP frame arrived that nobody sent")
        check_vport(delivery, stream.vport)
        if common(headers) != stream.common:
            raise Mismatch("a TCP frame's headers are not as they were sent")
        if delivery.gso_size not in (0, stream.gso_size):
            raise Mismatch(f"a frame's gso_size is {delivery.gso_size}, it was sent with {stream.gso_size}")
        payload = headers.payload
        start = (sequence_of(headers) - stream.first) & 0xFFFFFFFF
        end = start + len(payload)
        if payload != stream.data[start:end] or not payload:
            raise Mismatch(f"{len(payload)} bytes of payload are not as they were sent")
        if stream.arrived.find(1, start, end) >= 0:
            raise Mismatch("a byte of payload arrived twice")
        stream.arrived[start:end] = b"\x01" * len(payload)
        return Taken(len(payload), stream.ends.get(end))

    def _take_whole(self, delivery: Any) -> Taken:
        numbers = self.whole.get(delivery.data)
        if not numbers:
            raise Mismatch("a frame arrived that nobody sent, or twice")
        number = numbers.pop(0)
        check_vport(delivery, self.vports[number])
        return Taken(len(parse(delivery.data).payload), number)


def name(headers: Headers) -> bytes:
    """Who talks to whom: Ethernet header, addresses, ports."""
    return headers.frame[: headers.l3] + b"".join(headers.addresses) + headers.frame[headers.l4 : headers.l4 + 4]


def sequence_of(headers: Headers) -> int:
    (number,) = unpack_from("!I", headers.frame, headers.l4 + 4)
    return int(number)


def check_vport(delivery: Any, vport: int) -> None:
    if delivery.vports != 1 << vport:
        raise Mismatch(f"a frame for vport {vport} went to the vports {delivery.vports:#b}")


def check_status(delivery: Any, headers: Headers) -> None:
    """What the card says of the checksums must be so, and nothing may be bad."""
    ip, l4 = STATUS[delivery.ip_status], STATUS[delivery.l4_status]
    true_l4 = verify.inner_l4(headers, partial=l4 == verify.PARTIAL)
    if verify.BAD in (ip, l4) or (ip, l4) != (verify.inner_ip(headers), true_l4):
        raise Mismatch(f"the card says IP {ip}, L4 {l4}; they are {verify.inner_ip(headers)} and {true_l4}")
