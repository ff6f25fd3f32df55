"""What a host tells its NIC beside a frame: where to cut it, and how CWR is to be treated.

In a pcapng capture these facts may ride in a packet's comment, as virtio-net has them:

::

    gso_size=1410 gso_type=tcpv4|ecn|accecn
"""

import re
from dataclasses import dataclass

from host.packets import CapturedPacket, CaptureError
from sim.model.fit import default_gso_size
from sim.model.network import Network

FACT = re.compile(r"\b(gso_size|gso_type)=(\S*)")
TYPES = ("none", "tcpv4", "tcpv6", "ecn", "accecn")
LARGEST = 0xFFFF


@dataclass(frozen=True)
class Offload:
    """`gso_size`: bytes of TCP payload a segment, 0: never cut, None: not said. `accecn`: CWR stays on all segments."""

    gso_size: int | None = None
    accecn: bool = False


def from_comments(comments: tuple[str, ...]) -> Offload:
    """The facts in a packet's comments; other text in them is let be. Raises ValueError, one line."""
    facts = {name: value for comment in comments for name, value in FACT.findall(comment)}
    size, types = facts.get("gso_size"), facts.get("gso_type", "").split("|") if "gso_type" in facts else []
    if size is not None and not (size.isascii() and size.isdigit() and int(size) <= LARGEST):
        raise ValueError(f"gso_size={size} in its comment is not a number from 0 to {LARGEST}")
    for kind in types:
        if kind not in TYPES:
            raise ValueError(f"gso_type={kind} in its comment is none of {', '.join(TYPES)}")
    if "none" in types:
        return Offload(0)
    return Offload(None if size is None else int(size), "accecn" in types)


def comment(offload: Offload, frame: bytes) -> str:
    """What `from_comments` reads back, for a TCP frame."""
    if not offload.gso_size:
        return "gso_size=0 gso_type=none"
    kind = "tcpv6" if b"\x86\xdd" in (frame[12:14], frame[16:18], frame[20:22]) else "tcpv4"
    return f"gso_size={offload.gso_size} gso_type={kind}{'|accecn' if offload.accecn else ''}"


def decide(
    packet: CapturedPacket, number: int, network: Network, *, vport: int, vport_mtu: int | None, gso_size: int | None
) -> Offload:
    """A packet's own comment wins, then `gso_size`, then the largest with which every segment fits its way.

    `number` is the packet's in its capture, from 1. Raises CaptureError for a comment that makes no sense.
    """
    try:
        said = from_comments(packet.comments)
    except ValueError as error:
        raise CaptureError(f"packet {number}: {error}") from None
    if said.gso_size is not None:
        return said
    if gso_size is None:
        gso_size = (
            default_gso_size(network, packet.data, vport=vport, vport_mtu=vport_mtu) if len(packet.data) >= 14 else 0
        )
    return Offload(min(gso_size, LARGEST), said.accecn)
