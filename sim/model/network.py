"""What the card is told: its address, its virtual ports, where frames go, and its tunnels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal


@dataclass(frozen=True)
class ToVport:
    """Another vport of the same vnet, by its number."""

    vport: int


Destination = str | int | ToVport  # "drop", "uplink", the index of a tunnel, or a vport

ENCAPSULATIONS = ("gre", "nvgre", "vxlan", "geneve", "stt")
KEY_BITS = {"gre": 32, "nvgre": 32, "vxlan": 24, "geneve": 24, "stt": 64}
LARGEST_MTU = 9216


@dataclass(frozen=True)
class Tunnel:
    """One remote endpoint and how to wrap what goes there.

    `key` is the GRE key (optional), NVGRE's VSID << 8 | FlowID, the VNI, or STT's context ID. `checksum` is GRE's C bit
    or the outer UDP checksum; None is off, but on for UDP over IPv6 (RFC 8200). `options` are Geneve's, as they go on
    the wire. `dscp` is None to copy the inner one (uniform) or the value to send (pipe). `mtu` is the largest outer IP
    packet in bytes; None is the uplink's.
    """

    encapsulation: str
    local: IPv4Address | IPv6Address
    remote: IPv4Address | IPv6Address
    next_hop: bytes
    vlan: int | None = None
    key: int | None = None
    checksum: bool | None = None
    sequence: bool = False
    options: bytes = b""
    df: bool = True
    ttl: int = 64
    dscp: int | None = None
    stt_mode: str = "frame"
    mtu: int | None = None

    def __post_init__(self) -> None:
        if self.encapsulation not in ENCAPSULATIONS:
            raise ValueError(f"encapsulation {self.encapsulation!r} is none of {', '.join(ENCAPSULATIONS)}")
        if self.local.version != self.remote.version:
            raise ValueError(f"local {self.local} and remote {self.remote} are of two IP versions")
        if len(self.next_hop) != 6:
            raise ValueError(f"next_hop has {len(self.next_hop)} bytes, a MAC address has 6")
        if self.key is None and self.encapsulation != "gre":
            raise ValueError(f"{self.encapsulation} needs a key")
        if self.key is not None and self.key >> KEY_BITS[self.encapsulation]:
            raise ValueError(
                f"key {self.key:#x} is more than the {KEY_BITS[self.encapsulation]} bits of a {self.encapsulation} key"
            )
        if self.checksum and self.encapsulation in ("nvgre", "stt"):
            raise ValueError(f"{self.encapsulation} has no optional checksum")
        if self.sequence and self.encapsulation != "gre":
            raise ValueError(f"{self.encapsulation} has no sequence numbers")
        if self.options and (self.encapsulation != "geneve" or len(self.options) % 4 or len(self.options) > 32):
            raise ValueError("options are Geneve's, at most 32 bytes in multiples of 4")
        if self.vlan is not None and not 0 <= self.vlan <= 4094:
            raise ValueError(f"vlan {self.vlan} is not 0 to 4094")
        if not 1 <= self.ttl <= 255:
            raise ValueError(f"ttl {self.ttl} is not 1 to 255")
        if self.dscp is not None and not 0 <= self.dscp <= 63:
            raise ValueError(f"dscp {self.dscp} is not 0 to 63")
        if self.stt_mode not in ("frame", "segment"):
            raise ValueError(f"stt_mode {self.stt_mode!r} is neither frame nor segment")

    @property
    def version(self) -> Literal[4, 6]:
        """IP version of the outer header."""
        return self.local.version

    @property
    def has_checksum(self) -> bool:
        """Whether packets carry the checksum that the encapsulation leaves optional."""
        if self.checksum is None:
            return self.version == 6 and self.encapsulation in ("vxlan", "geneve")
        return self.checksum


@dataclass(frozen=True)
class Network:
    """Everything the transmit path is configured with. MTUs are bytes of IP packet."""

    mac: bytes
    mtu: int
    vports: Mapping[int, int]  # vport -> vnet
    forwarding: Mapping[tuple[int, bytes | None], Destination]  # (vnet, destination MAC or None for any other)
    tunnels: Sequence[Tunnel] = ()
    receive_mtu: Mapping[int, int] = field(default_factory=dict)  # of a vport, for frames from others; unless said, all

    def __post_init__(self) -> None:
        if len(self.mac) != 6:
            raise ValueError(f"mac has {len(self.mac)} bytes, a MAC address has 6")
        for tunnel in self.tunnels:
            least = 640 if (tunnel.encapsulation, tunnel.stt_mode) == ("stt", "frame") else 576
            least = max(least, 1280 if tunnel.version == 6 else 0)
            if not least <= self.mtu_of(tunnel) <= LARGEST_MTU:
                raise ValueError(f"mtu {self.mtu_of(tunnel)} of a tunnel is not {least} to {LARGEST_MTU}")
        for (vnet, _), destination in self.forwarding.items():
            if isinstance(destination, ToVport):
                if self.vports.get(destination.vport) != vnet:
                    raise ValueError(f"vport {destination.vport} is none of vnet {vnet}")
                continue
            known = (
                destination in ("drop", "uplink")
                if isinstance(destination, str)
                else 0 <= destination < len(self.tunnels)
            )
            if not known:
                raise ValueError(f"destination {destination!r} is neither drop, uplink nor the index of a tunnel")

    def mtu_of(self, tunnel: Tunnel) -> int:
        return self.mtu if tunnel.mtu is None else tunnel.mtu

    def route(self, vport: int, frame: bytes) -> Destination | None:
        """Where a known vport's frame goes: its exact entry, else the vnet's wildcard, else nowhere (None)."""
        vnet = self.vports[vport]
        return self.forwarding.get((vnet, frame[:6]), self.forwarding.get((vnet, None)))
