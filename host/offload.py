"""What a host tells its NIC beside a frame: where to cut it, and how CWR is to be treated.

In a pcapng capture these facts may ride in a packet's comment, as virtio-net has them:

::

    gso_size=1410 gso_type=tcpv4|ecn|accecn

That is how it is written here. Read are also a colon for the equals sign, quotes and commas, and the numbers and names
that virtio-net's header gives to the types (virtio 1.2, 5.1.6).
"""

import re
from dataclasses import dataclass

from host.packets import CapturedPacket, CaptureError
from sim.model.fit import default_gso_size
from sim.model.network import Network
from sim.model.parse import ETHERNET, parse
from sim.model.segment import needs_cutting

FACT = re.compile(r"""\b(gso_size|gso_type)["']?\s*[=:]\s*["']?([^\s"',;}]*)""")
TYPES = ("none", "tcpv4", "tcpv6", "udp", "udp_l4", "ecn", "accecn")
UNCUT = {"none", "udp", "udp_l4"}  # UDP is never cut here
NUMBERS = {0: "none", 1: "tcpv4", 3: "udp", 4: "tcpv6", 5: "udp_l4"}  # of a virtio_net_hdr (virtio 1.3, 5.1.6)
BITS = {0x10: "accecn", 0x80: "ecn"}
PREFIX = "virtio_net_hdr_gso_"
LARGEST = 0xFFFF


@dataclass(frozen=True)
class Offload:
    """`gso_size`: bytes of TCP payload a segment, 0: never cut, None: not said. `accecn`: CWR stays on all segments."""

    gso_size: int | None = None
    accecn: bool = False


def from_comments(comments: tuple[str, ...]) -> Offload:
    """The facts in a packet's comments; other text in them is let be. Raises ValueError, one line."""
    facts = {name: value for comment in comments for name, value in FACT.findall(comment)}
    size, types = facts.get("gso_size"), kinds(facts["gso_type"]) if "gso_type" in facts else []
    if size is not None and not (size.isascii() and size.isdigit() and int(size) <= LARGEST):
        raise ValueError(f"gso_size={size} in its comment is not a number from 0 to {LARGEST}")
    if UNCUT.intersection(types):
        return Offload(0)
    return Offload(None if size is None else int(size), "accecn" in types)


def kinds(text: str) -> list[str]:
    """The words of a `gso_type`. Raises ValueError for one that there is not."""
    number = int(text, 0) if re.fullmatch("[1-9][0-9]*|0|0x[0-9a-fA-F]+", text) else -1
    if number & ~sum(BITS) in NUMBERS:
        return [NUMBERS[number & ~sum(BITS)], *(name for bit, name in BITS.items() if number & bit)]
    found = [kind.lower().removeprefix(PREFIX) for kind in text.split("|")]
    for kind in found:
        if kind not in TYPES:
            raise ValueError(f"gso_type={kind} in its comment is none of {', '.join(TYPES)}")
    return found


def comment(offload: Offload, frame: bytes) -> str:
    """What a host says of this frame, so that `from_comments` reads it back: none where there is nothing to cut."""
    headers = parse(frame) if len(frame) >= ETHERNET else None
    if headers is None or not needs_cutting(headers, offload.gso_size or 0):
        return "gso_size=0 gso_type=none"
    return f"gso_size={offload.gso_size} gso_type=tcpv{headers.ip_version}{'|accecn' if offload.accecn else ''}"


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
            default_gso_size(network, packet.data, vport=vport, vport_mtu=vport_mtu)
            if len(packet.data) >= ETHERNET
            else 0
        )
    return Offload(min(gso_size, LARGEST), said.accecn)
