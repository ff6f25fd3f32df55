"""What the receive path hands up: one frame, and what the card knows of it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from sim.model.parse import parse
from sim.model.receive.terminate import Terminate
from sim.model.receive.verify import NONE, PARTIAL
from sim.model.segment import finish


@dataclass(frozen=True)
class Delivery:
    """One frame for a vnet; or a packet as it came for the slow path, when `vnet` is None."""

    frame: bytes
    vnet: int | None
    packets: int = 1  # that it came in
    slow: str | None = None  # why it goes the slow path
    entry: Terminate | None = None  # that ended its tunnel; None for an untunnelled frame
    source: IPv4Address | IPv6Address | None = None  # outer source: who sent it
    tunnel: int | None = None  # index of the tunnel that goes back there
    options: bytes = b""  # Geneve's
    tag: int | None = None  # TCI of a VLAN tag that belongs into the frame: STT carries it beside it
    ip_checksum: str = NONE
    l4_checksum: str = NONE
    gso_size: int = 0  # the sender's MSS, where the frame is a super-segment

    @property
    def complete(self) -> bytes:
        """The frame as it would be without the tunnel: tag put back, checksum finished where the sender left it."""
        frame = self.frame
        if self.l4_checksum == PARTIAL:
            frame = finish(parse(frame))
        if self.tag is not None:
            frame = frame[:12] + b"\x81\x00" + self.tag.to_bytes(2, "big") + frame[12:]
        return frame
