"""To whom a frame goes: vports, and the queue of one.

::

    (vnet, MAC) ─┬─ a vport's address ────── that vport, and a queue of it by the frame's hash
                 ├─ multicast, broadcast ─── all vports of the vnet that asked
                 └─ any other ────────────── the vnet's policy: nobody, all its vports, the slow path
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.model.parse import ETHERNET, parse
from sim.model.receive.reasons import Dropped

GROUP_BIT = 0x01  # of a MAC address' first byte: multicast or broadcast
INDIRECTIONS = 128  # of each vport
MOST_QUEUES = 16
UNKNOWN_UNICAST = ("drop", "flood", "slow_path")


@dataclass(frozen=True)
class Vport:
    """What attaches to a vnet: `receive_mtu` is bytes of IP packet, tags and Ethernet header not counted.

    `mac` None: nothing is sent to its address. `indirection`: a queue for each of the hash's last seven bits, which by
    default go round all `queues`.
    """

    vnet: int
    mac: bytes | None = None
    receive_mtu: int = 65535
    queues: int = 1
    drop_bad_checksum: bool = False
    multicast: bool = True  # wants what is for everyone, or for a group
    indirection: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.queues <= MOST_QUEUES:
            raise ValueError(f"queues {self.queues} is not 1 to {MOST_QUEUES}")
        if not self.indirection:
            object.__setattr__(self, "indirection", tuple(number % self.queues for number in range(INDIRECTIONS)))
        if len(self.indirection) != INDIRECTIONS or not set(self.indirection) <= set(range(self.queues)):
            raise ValueError(f"indirection is not {INDIRECTIONS} of the vport's {self.queues} queues")
        if self.mac is not None and (len(self.mac) != 6 or self.mac[0] & GROUP_BIT):
            raise ValueError(f"mac {self.mac.hex(':')} is no address of one vport")


@dataclass(frozen=True)
class Steering:
    """Who is there. `unknown_unicast`: by vnet, "drop" where nothing is said; `slow_path`: the vport of the host."""

    vports: Mapping[int, Vport] = field(default_factory=dict)
    unknown_unicast: Mapping[int, str] = field(default_factory=dict)
    slow_path: int | None = None

    def __post_init__(self) -> None:
        addresses = [(vport.vnet, vport.mac) for vport in self.vports.values() if vport.mac is not None]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two vports of a vnet have one mac")
        if self.slow_path is not None and self.slow_path not in self.vports:
            raise ValueError(f"slow_path {self.slow_path} is no vport")
        for policy in self.unknown_unicast.values():
            if policy not in UNKNOWN_UNICAST:
                raise ValueError(f"unknown_unicast {policy!r} is none of {', '.join(UNKNOWN_UNICAST)}")

    def exact(self, vnet: int, mac: bytes) -> int | None:
        """The vport with this address."""
        for number, vport in self.vports.items():
            if (vport.vnet, vport.mac) == (vnet, mac):
                return number
        return None

    def vports_for(self, vnet: int, mac: bytes) -> tuple[int, ...]:
        """To whom a frame of this vnet with this destination goes; nobody: empty."""
        if mac[0] & GROUP_BIT:
            return tuple(number for number, vport in self.vports.items() if vport.vnet == vnet and vport.multicast)
        known = self.exact(vnet, mac)
        if known is not None:
            return (known,)
        match self.unknown_unicast.get(vnet, "drop"):
            case "flood":
                return tuple(number for number, vport in self.vports.items() if vport.vnet == vnet)
            case "slow_path" if self.slow_path is not None:
                return (self.slow_path,)
        return ()

    def steer(self, vnet: int, frame: bytes, *, bad: bool) -> tuple[int, ...]:
        """The same without those that do not want a frame with a bad checksum. Raises Dropped if nobody is left."""
        found = self.vports_for(vnet, frame[:6])
        if not found:
            raise Dropped("no_vport")
        left = tuple(number for number in found if not (bad and self.vports[number].drop_bad_checksum))
        if not left:
            raise Dropped("bad_checksum")
        return left

    def queue(self, vnet: int, frame: bytes, hashed: int) -> int:
        """The queue of the vport that has the frame's address."""
        known = None if frame[0] & GROUP_BIT else self.exact(vnet, frame[:6])
        return 0 if known is None else self.vports[known].indirection[hashed % INDIRECTIONS]

    def must_cut(self, vnet: int, frame: bytes, gso_size: int) -> bool:
        """Whether a super-segment goes up in segments: its vport takes no such, or it is not for one known vport."""
        if not gso_size:
            return False
        known = None if frame[0] & GROUP_BIT else self.exact(vnet, frame[:6])
        behind = len(frame) - parse(frame).l3 if len(frame) >= ETHERNET else 0
        return known is None or behind > self.vports[known].receive_mtu
