"""What comes into coalescing, and what it hands up."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from sim.model.parse import parse
from sim.model.segment import finish, segment

GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 0, 1, 4  # as in the virtio-net header (virtio 1.2, 5.1.6)

Verified = Literal["good", "bad", "none"]


@dataclass(frozen=True)
class Arrival:
    """One inner Ethernet frame, its tunnel taken off.

    ::

        │ outer IP │ UDP or GRE, tunnel header │ inner Ethernet frame ........... │
        └──────────── outer bytes ─────────────┘
    """

    frame: bytes
    time: int = 0  # ns; never before that of the arrival in front of it
    vnet: int = 0
    tunnel: Hashable = None  # which tunnel sent it; None: untunnelled
    checksum: Verified = "good"  # of the inner IP, TCP and UDP headers, over the bytes as they came; "none": has none
    outer: int = 0  # bytes in front of the inner frame, from the outer IP header on: they count for the longest frame
    options: bytes = b""  # of Geneve: only packets with equal ones are merged
    control: bool = False  # Geneve's O bit: a packet for the tunnel's end, never merged


@dataclass(frozen=True)
class Delivery:
    """One frame for a vport: a packet as it came, or several in one.

    In a merged frame TCP's checksum field holds the pseudo-header's sum only (`partial`), as the kernel has it and as
    virtio-net hands it to a guest: the packets' own checksums were good. `complete` gives the frame with a whole one.
    """

    arrivals: tuple[Arrival, ...]  # the packets in it, in order
    frame: bytes
    gso_size: int = 0  # bytes of payload in each segment but the last; 0: one packet
    gso_type: int = GSO_NONE
    fixed_id: bool = False  # the packets have one IPv4 identification (SKB_GSO_TCP_FIXEDID)
    checksum: Verified | Literal["partial"] = "good"
    reason: str = ""  # why it ended here

    @property
    def segments(self) -> int:
        return len(self.arrivals)

    @property
    def complete(self) -> bytes:
        """The frame with every checksum complete; a packet that came alone is as it came."""
        return self.frame if self.segments == 1 else finish(parse(self.frame))

    def cut_again(self) -> list[bytes]:
        """The packets that a sender's segmentation makes of it: always the packets that came."""
        if self.segments == 1:
            return [self.frame]
        return segment(parse(self.frame), self.gso_size, fixed_id=self.fixed_id)
