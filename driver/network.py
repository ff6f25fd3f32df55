"""What a card is to be told: its address, its virtual ports, where frames go, and its tunnels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

Encapsulation = Literal["gre", "nvgre", "vxlan", "geneve", "stt"]
SttMode = Literal["frame", "segment"]


@dataclass(frozen=True)
class ToVport:
    """Another vport of the same vnet and card, by its number."""

    vport: int


Destination = int | Literal["drop", "uplink"] | ToVport
"""Index of a tunnel, one of the two words, or a vport."""

KEY_BITS: Mapping[Encapsulation, int] = {"gre": 32, "nvgre": 32, "vxlan": 24, "geneve": 24, "stt": 64}


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """One remote endpoint. Values are taken as checked (`host.config` does); MTU in bytes of outer IP packet.

    `key` is GRE's (None: no key), NVGRE's VSID << 8 | FlowID, the VNI of VXLAN and Geneve, STT's context ID. `checksum`
    is GRE's C bit or the outer UDP checksum. `dscp` None copies the inner one, a number is sent as it is.
    """

    encapsulation: Encapsulation
    local: IPv4Address | IPv6Address
    remote: IPv4Address | IPv6Address
    next_hop: bytes
    mtu: int
    vlan: int | None = None
    key: int | None = None
    checksum: bool = False
    sequence: bool = False
    options: bytes = b""
    df: bool = True
    ttl: int = 64
    dscp: int | None = None
    stt_mode: SttMode = "frame"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A card's whole configuration. `mac` and `mtu` are the uplink's.

    `vports` maps a vport to its vnet; `forwarding` maps (vnet, destination MAC or None for any other) to where it goes.
    `receive_mtu`: bytes behind the Ethernet header and its tags that a vport takes at once; unless said, any number.
    """

    mac: bytes
    mtu: int
    vports: Mapping[int, int]
    forwarding: Mapping[tuple[int, bytes | None], Destination]
    tunnels: Sequence[Tunnel] = ()
    receive_mtu: Mapping[int, int] = field(default_factory=dict)
