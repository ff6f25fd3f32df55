"""What the receive path is told: which tunnel packets are ours, and to which vnet they belong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from sim.model.network import ENCAPSULATIONS, KEY_BITS, Tunnel
from sim.model.receive.reasons import Dropped

Address = IPv4Address | IPv6Address

MOST_ENTRIES = 64
MOST_ADDRESSES = 16  # local ones, of all entries together
MOST_OPTIONS = 4  # critical Geneve options that are known


@dataclass(frozen=True)
class Terminate:
    """(encapsulation, local address, key) to a vnet, with the rules of the tunnels that end there.

    At one address there is either GRE with a key or NVGRE: on the wire they are one. `key` is as in `Tunnel`; of
    NVGRE's only the VSID counts, its FlowID varies from packet to packet. `remote`: accept from this peer only.
    `udp_checksum`: "optional" takes zero for "none", "required" does not; None is optional over IPv4 (RFC 7348) and
    required over IPv6 (RFC 8200). `dscp`: "uniform" copies the outer one in, "pipe" does not (RFC 2983).
    """

    encapsulation: str
    local: Address
    vnet: int
    key: int | None = None
    remote: Address | None = None
    udp_checksum: str | None = None
    dscp: str = "pipe"

    def __post_init__(self) -> None:
        if self.encapsulation not in ENCAPSULATIONS:
            raise ValueError(f"encapsulation {self.encapsulation!r} is none of {', '.join(ENCAPSULATIONS)}")
        if self.remote is not None and self.remote.version != self.local.version:
            raise ValueError(f"local {self.local} and remote {self.remote} are of two IP versions")
        if self.key is None and self.encapsulation != "gre":
            raise ValueError(f"{self.encapsulation} needs a key")
        if self.key is not None and self.key >> KEY_BITS[self.encapsulation]:
            bits = KEY_BITS[self.encapsulation]
            raise ValueError(f"key {self.key:#x} is more than the {bits} bits of a {self.encapsulation} key")
        if self.udp_checksum not in (None, "optional", "required"):
            raise ValueError(f"udp_checksum {self.udp_checksum!r} is neither optional nor required")
        if self.udp_checksum is not None and self.encapsulation not in ("vxlan", "geneve"):
            raise ValueError(f"{self.encapsulation} has no UDP checksum")
        if self.dscp not in ("uniform", "pipe"):
            raise ValueError(f"dscp {self.dscp!r} is neither uniform nor pipe")

    @property
    def requires_udp_checksum(self) -> bool:
        if self.udp_checksum is None:
            return self.local.version == 6 and self.encapsulation in ("vxlan", "geneve")
        return self.udp_checksum == "required"


@dataclass(frozen=True)
class Settings:
    """Everything the receive path is configured with.

    `uplink` maps the VLAN ID of an untunnelled frame's outermost tag to a vnet; None stands for untagged frames and for
    IDs without an entry, 0 among them. `tunnels` are the ways back, so that a packet is counted with the tunnel that
    sent it. `options`: (class, type) of the Geneve options that the host knows, so that critical ones among them pass.
    """

    terminate: Sequence[Terminate] = ()
    uplink: Mapping[int | None, int] = field(default_factory=dict)
    slow_path: bool = False  # whether a vport takes what is not terminated; else it is dropped
    tunnels: Sequence[Tunnel] = ()
    options: frozenset[tuple[int, int]] = frozenset()
    contexts: int = 64  # STT frames that may be open at once
    class_contexts: int | None = None  # of one class of outer sources; None: three quarters, once all are in use
    timeout: float = 30.0  # seconds that an STT frame may stay open
    holes: int = 24  # gaps that may be open in one STT frame

    def __post_init__(self) -> None:
        if self.contexts < 1:
            raise ValueError("contexts must be at least 1")
        if not 1 <= self.share <= self.contexts:
            raise ValueError(f"class_contexts {self.class_contexts} is not 1 to contexts ({self.contexts})")
        if len(self.options) > MOST_OPTIONS:
            raise ValueError(f"options are {len(self.options)}; the card knows at most {MOST_OPTIONS}")
        if len({entry.local for entry in self.terminate}) > MOST_ADDRESSES:
            raise ValueError(f"tunnels end at more than {MOST_ADDRESSES} local addresses")
        if len(self.terminate) > MOST_ENTRIES:
            raise ValueError(
                f"there are {len(self.terminate)} termination entries; the card has room for {MOST_ENTRIES}"
            )
        if not 0 < self.timeout <= 30:
            raise ValueError(f"timeout {self.timeout} is not more than 0 and at most 30 s: identifiers wrap in 54 s")
        if self.holes < 2:
            raise ValueError("holes must be at least 2: a frame whose middle comes first has two")
        for vlan in self.uplink:
            if vlan is not None and not 1 <= vlan <= 4094:
                raise ValueError(f"vlan {vlan} is not 1 to 4094")
        seen = set()
        for entry in self.terminate:
            if (name := (entry.encapsulation, entry.local, same_key(entry))) in seen:
                raise ValueError(f"two termination entries for {entry.encapsulation}, {entry.local}, key {entry.key}")
            seen.add(name)
        for entry in self.terminate:
            if entry.encapsulation == "nvgre" and any(
                other.encapsulation == "gre" and other.key is not None and other.local == entry.local
                for other in self.terminate
            ):
                raise ValueError(f"at {entry.local} end NVGRE and GRE with a key: they cannot be told apart")

    @property
    def share(self) -> int:
        """Open STT frames that one class of outer sources may have."""
        return max(1, self.contexts * 3 // 4) if self.class_contexts is None else self.class_contexts

    def ends_here(self, encapsulations: Sequence[str], local: Address) -> list[Terminate]:
        """All entries of these encapsulations at this address."""
        return [entry for entry in self.terminate if entry.local == local and entry.encapsulation in encapsulations]

    def tunnel_of(self, entry: Terminate, source: Address) -> int | None:
        """(encapsulation, outer source, key) to the index of the tunnel that goes back there."""
        for index, tunnel in enumerate(self.tunnels):
            if (tunnel.encapsulation, tunnel.remote) == (entry.encapsulation, source) and same_key(tunnel) == same_key(
                entry
            ):
                return index
        return None


def same_key(one: Terminate | Tunnel) -> int | None:
    """The part of a key that tells vnets apart."""
    return one.key >> 8 if one.encapsulation == "nvgre" and one.key is not None else one.key


def find(entries: Sequence[Terminate], key: int | None, source: Address) -> Terminate | None:
    """The entry for a packet with this key. If it names another peer, the packet is an intruder's."""
    for entry in entries:
        if matches(entry, key):
            if entry.remote not in (None, source):
                raise Dropped("unknown_peer")
            return entry
    return None


def matches(entry: Terminate, key: int | None) -> bool:
    if entry.encapsulation == "nvgre":
        return key is not None and key >> 8 == same_key(entry)
    return entry.key == key
