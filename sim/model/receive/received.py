"""What comes out of a tunnel: one frame, and what is known of it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sim.model.parse import parse
from sim.model.receive.terminate import Terminate
from sim.model.receive.verify import NONE, PARTIAL
from sim.model.segment import finish


@dataclass(frozen=True)
class Received:
    """One frame for a vnet; or a packet as it came for the slow path, when `vnet` is None."""

    frame: bytes
    vnet: int | None
    packets: int = 1  # that it came in
    slow: str | None = None  # why it goes the slow path
    entry: Terminate | None = None  # that ended its tunnel; None for an untunnelled frame
    source: IPv4Address | IPv6Address | None = None  # outer source: who sent it
    tunnel: int | None = None  # index of the tunnel that goes back there
    outer: int = 0  # bytes in front of the frame, from the outer IP header on; STT, untunnelled: 0
    options: bytes = b""  # Geneve's
    tag: int | None = None  # TCI of a VLAN tag that belongs into the frame: STT carries it beside it
    ip_checksum: str = NONE
    l4_checksum: str = NONE
    gso_size: int = 0  # the sender's MSS, where the frame is a super-segment
    hash: int = 0  # of its inner flow

    @property
    def complete(self) -> bytes:
        """The frame as it would be without the tunnel: tag put back, checksum finished where the sender left it."""
        frame = self.frame
        if self.l4_checksum == PARTIAL:
            frame = finish(parse(frame))
        return with_tag(frame, self.tag)


def with_tag(frame: bytes, tci: int | None) -> bytes:
    """The frame with an 802.1Q tag in front of all others; as it is for None."""
    return frame if tci is None else frame[:12] + b"\x81\x00" + tci.to_bytes(2, "big") + frame[12:]
