"""What the card hands up: one frame, to whom, and what it knows of it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from sim.model.parse import parse
from sim.model.receive.received import with_tag
from sim.model.receive.verify import NONE
from sim.model.segment import segment

GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 0, 1, 4  # as in the virtio-net header (virtio 1.2, 5.1.6)


@dataclass(frozen=True)
class Delivery:
    """One frame for some vports: from the wire, or from another vport of its vnet.

    Where the checksum is `partial` the field holds the pseudo-header's sum only, as virtio-net hands it to a guest.
    """

    frame: bytes
    vports: tuple[int, ...]
    vnet: int | None = None  # None: the slow path's, as it came
    slow: str | None = None  # why it goes the slow path
    packets: int = 1  # that it came in
    queue: int = 0  # of the vport; 0 where there are several
    hash: int = 0
    gso_size: int = 0  # bytes of payload in each segment but the last; 0: one packet
    gso_type: int = GSO_NONE
    fixed_id: bool = False  # the segments have one IPv4 identification
    ip_checksum: str = NONE
    l4_checksum: str = NONE
    tag: int | None = None  # TCI of a VLAN tag that belongs into the frame: STT carries it beside it
    cut: bool = False  # the frame is larger than its vport takes, or goes to several: it is segmented on the way up
    entry: int | None = None  # number of the termination entry that ended its tunnel; None: it had no tunnel
    peer: IPv4Address | IPv6Address | None = field(default=None, compare=False)  # outer source; not handed up

    def frames_for(self, vport: int) -> list[bytes]:
        """What this vport gets: the frame with its tag, or its segments with complete checksums."""
        if vport not in self.vports:
            return []
        frame = with_tag(self.frame, self.tag)
        return segment(parse(frame), self.gso_size, fixed_id=self.fixed_id) if self.cut else [frame]
