"""What a card is to do with packets off the wire, and every row of its receive tables in the order of writing.

::

    keys, settings, VLANs off ─▶ entries, destinations, vports, queues, groups ─▶ VLANs, settings, keys on

Whatever points at a row is written after the row. A packet is NOT_TERMINATED from the time that its key or VLAN is
cleared until it is written again: the settings say whether a key is a VSID, so they change while there is no key; and
to which vnet a VLAN without an entry belongs, so to none while entries change. Packets that were looked up before, and
frames that wait to be merged or to become whole, go on as they were: let the card run empty before a vnet's number is
given to another.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple

from driver.changes import changes
from driver.cuckoo import Cuckoo, Key, NoRoom
from driver.network import KEY_BITS
from driver.network import Encapsulation as Name
from driver.tables import TooMany
from driver.transport import ReceiveTransport
from hdl.registers import rx_tables
from hdl.registers.receive import Encapsulation
from hdl.registers.rows import Fields, pack
from hdl.registers.rx_tables import DESTINATION_TABLE, ROWS, TERMINATE_TABLE, Group, RxTable
from hdl.registers.tables import VNETS, VPORTS

Address = IPv4Address | IPv6Address
Unknown = Literal["drop", "flood", "slow"]
"""What becomes of unicast to an address that no vport of the vnet has."""

KINDS: Mapping[Name, Encapsulation] = {
    "gre": Encapsulation.GRE,
    "nvgre": Encapsulation.GRE,
    "vxlan": Encapsulation.VXLAN,
    "geneve": Encapsulation.GENEVE,
    "stt": Encapsulation.STT,
}
SMALLEST_MTU = 68  # RFC 791
LARGEST_MTU = 65575  # an IPv6 packet with the largest payload: never cut
MULTICAST = 1  # of a MAC address's first byte: no vport's own


def spread(queues: int) -> tuple[int, ...]:
    """Indirection over the first `queues` queues, in turn."""
    if not 1 <= queues <= rx_tables.QUEUES:
        raise ValueError(f"queues is {queues}; a vport has 1 to {rx_tables.QUEUES}")
    return tuple(index % queues for index in range(rx_tables.INDIRECTIONS))


@dataclass(frozen=True, kw_only=True)
class Terminate:
    """(encapsulation, local address, key) to a vnet, with the rules of the tunnels that end there.

    `key` is as in `driver.network.Tunnel`; of NVGRE's only the VSID counts. `remote`: accept from this peer only.
    `udp_checksum`: "optional" takes zero for "none", "required" does not; None is optional over IPv4 (RFC 7348) and
    required over IPv6 (RFC 8200). `dscp`: "uniform" copies the outer one in, "pipe" does not (RFC 2983).
    """

    encapsulation: Name
    local: Address
    vnet: int
    key: int | None = None
    remote: Address | None = None
    udp_checksum: Literal["optional", "required"] | None = None
    dscp: Literal["uniform", "pipe"] = "pipe"

    def __post_init__(self) -> None:
        kind = self.encapsulation
        if kind not in KEY_BITS:
            raise ValueError(f"encapsulation is {kind!r}; it must be one of {', '.join(KEY_BITS)}")
        if self.vnet < 0:
            raise ValueError(f"vnet is {self.vnet}; it must not be negative")
        if self.remote is not None and self.remote.version != self.local.version:
            raise ValueError(f"local {self.local} and remote {self.remote} are of two IP versions")
        if self.key is None and kind != "gre":
            raise ValueError(f"{kind} needs a key")
        if self.key is not None and not 0 <= self.key < 1 << KEY_BITS[kind]:
            raise ValueError(f"key is {self.key:#x}; of {kind} it must be 0 to {(1 << KEY_BITS[kind]) - 1:#x}")
        if self.udp_checksum not in (None, "optional", "required"):
            raise ValueError(f"udp_checksum is {self.udp_checksum!r}; it must be optional or required")
        if self.udp_checksum is not None and kind not in ("vxlan", "geneve"):
            raise ValueError(f"udp_checksum is {self.udp_checksum!r}; {kind} has none")
        if self.dscp not in ("uniform", "pipe"):
            raise ValueError(f"dscp is {self.dscp!r}; it must be uniform or pipe")

    @property
    def requires_udp_checksum(self) -> bool:
        if self.udp_checksum is None:
            return self.local.version == 6 and self.encapsulation in ("vxlan", "geneve")
        return self.udp_checksum == "required"

    @property
    def number(self) -> int | None:
        """What is looked up: the key, of NVGRE the VSID."""
        return self.key >> 8 if self.encapsulation == "nvgre" and self.key is not None else self.key


@dataclass(frozen=True, kw_only=True)
class Vport:
    """One virtual port; without a `mac` nothing is sent to its address.

    `receive_mtu`: bytes behind the Ethernet header and its tags that it takes at once; longer frames are cut again by
    their MSS. `multicast`: whether it wants multicast and broadcast of its vnet. `indirection`: hash modulo 128 to a
    queue.
    """

    vnet: int
    mac: bytes | None = None
    receive_mtu: int = LARGEST_MTU
    drop_bad_checksum: bool = False
    multicast: bool = True
    indirection: tuple[int, ...] = (0,) * rx_tables.INDIRECTIONS

    def __post_init__(self) -> None:
        if self.vnet < 0:
            raise ValueError(f"vnet is {self.vnet}; it must not be negative")
        if self.mac is not None and (len(self.mac) != 6 or self.mac[0] & MULTICAST):
            raise ValueError(f"mac is {self.mac.hex(':')}; it must be one station's address, 6 bytes")
        if not SMALLEST_MTU <= self.receive_mtu <= LARGEST_MTU:
            raise ValueError(f"receive_mtu is {self.receive_mtu}; it must be {SMALLEST_MTU} to {LARGEST_MTU}")
        if len(self.indirection) != rx_tables.INDIRECTIONS:
            raise ValueError(f"indirection has {len(self.indirection)} queues; it needs {rx_tables.INDIRECTIONS}")
        for queue in self.indirection:
            if not 0 <= queue < rx_tables.QUEUES:
                raise ValueError(f"indirection names queue {queue}; a vport has 0 to {rx_tables.QUEUES - 1}")


@dataclass(frozen=True, kw_only=True)
class Receive:
    """The receive path's whole configuration.

    `uplink` maps the VLAN ID of an untunnelled frame's outermost tag to a vnet; None stands for untagged frames and for
    IDs without an entry. `slow_path` is the vport that takes what is not terminated; without one it is dropped.
    `unknown` says for a vnet what becomes of unicast to nobody, "drop" where it says nothing. `options`: (class, type)
    of the critical Geneve options that are let in. `vnet_contexts`: frames of one vnet that may be merged at once;
    `class_contexts`: STT frames of one class of outer sources that may be open; each has a host buffer of 64 KB. None:
    as many as the card has, of the latter three quarters, once all are in use.
    """

    terminate: Sequence[Terminate] = ()
    vports: Mapping[int, Vport] = field(default_factory=dict)
    uplink: Mapping[int | None, int] = field(default_factory=dict)
    slow_path: int | None = None
    unknown: Mapping[int, Unknown] = field(default_factory=dict)
    options: Sequence[tuple[int, int]] = ()
    vnet_contexts: int | None = None
    class_contexts: int | None = None

    def __post_init__(self) -> None:
        self.check_terminate()
        for name in ("vnet_contexts", "class_contexts"):
            contexts = getattr(self, name)
            if contexts is not None and not 0 < contexts < 1 << rx_tables.CONTEXT_BITS:
                raise ValueError(f"{name} is {contexts}; it must be 1 to {(1 << rx_tables.CONTEXT_BITS) - 1}")
        for number in (*self.vports, *(() if self.slow_path is None else (self.slow_path,))):
            if number < 0:
                raise ValueError(f"vport is {number}; it must not be negative")
        owners: dict[tuple[int, bytes], int] = {}
        for number, vport in self.vports.items():
            if vport.mac is None:
                continue
            other = owners.setdefault((vport.vnet, vport.mac), number)
            if other != number:
                raise ValueError(f"vports {other} and {number} of vnet {vport.vnet} both have {vport.mac.hex(':')}")
        for vlan, vnet in self.uplink.items():
            if vlan is not None and not 1 <= vlan <= 4094:
                raise ValueError(f"vlan is {vlan}; it must be 1 to 4094")
            if vnet < 0:
                raise ValueError(f"vnet is {vnet}; it must not be negative")
        for vnet, policy in self.unknown.items():
            if vnet < 0:
                raise ValueError(f"vnet is {vnet}; it must not be negative")
            if policy not in ("drop", "flood", "slow"):
                raise ValueError(f"unknown is {policy!r}; it must be drop, flood or slow")
            if policy == "slow" and self.slow_path is None:
                raise ValueError(f"unknown is slow for vnet {vnet}, but there is no slow path")

    def check_terminate(self) -> None:
        seen: set[tuple[Name, Address, int | None]] = set()
        for entry in self.terminate:
            name = (entry.encapsulation, entry.local, entry.number)
            if name in seen:
                key = "without a key" if entry.key is None else f"with key {entry.key:#x}"
                raise ValueError(f"{entry.encapsulation} at {entry.local} {key} is terminated twice")
            seen.add(name)
        keyed = {entry.local for entry in self.terminate if entry.encapsulation == "gre" and entry.key is not None}
        for entry in self.terminate:
            if entry.encapsulation == "nvgre" and entry.local in keyed:
                raise ValueError(f"both gre with a key and nvgre end at {entry.local}; they look alike")

    @property
    def local(self) -> dict[Address, int]:
        """The number of each local address, in the order in which they first stand in `terminate`."""
        return {address: number for number, address in enumerate(dict.fromkeys(one.local for one in self.terminate))}


class RxWrite(NamedTuple):
    """One row of one table."""

    table: RxTable
    row: int
    data: int


def program(transport: ReceiveTransport, receive: Receive, *, fresh: bool = False) -> None:
    """Tell a card its whole receive configuration. Raises TooMany or NoRoom before the first write.

    `fresh`: nobody has written to it since power-up, so rows that stay zero are left out.
    """
    rows = writes(receive)
    for write in changes(rows) if fresh else rows:
        transport.write_row(*write)


def writes(receive: Receive) -> list[RxWrite]:
    """All rows, in order. Raises TooMany or NoRoom."""
    check_sizes(receive)
    terminate, uplink = terminate_rows(receive), uplink_rows(receive)
    return [
        *filled(RxTable.TERMINATE, {}),
        RxWrite(RxTable.SETTINGS, 0, 0),
        *filled(RxTable.UPLINK, {}),
        *filled(RxTable.LOCAL, local_rows(receive)),
        *filled(RxTable.FOLD, fold_rows(receive)),
        *filled(RxTable.ENTRY, entry_rows(receive)),
        *filled(RxTable.DESTINATION, destination_rows(receive)),
        *filled(RxTable.VPORT, vport_rows(receive)),
        *filled(RxTable.INDIRECTION, indirection_rows(receive)),
        *filled(RxTable.GROUP, group_rows(receive)),
        *filled(RxTable.OPTION, option_rows(receive)),
        *(RxWrite(RxTable.UPLINK, row, data) for row, data in uplink.items()),
        RxWrite(RxTable.SETTINGS, 0, settings_row(receive)),
        *(RxWrite(RxTable.TERMINATE, row, data) for row, data in terminate.items()),
    ]


def check_sizes(receive: Receive) -> None:
    """Raise TooMany for what the tables cannot hold or a number that they do not have."""
    vnets = (
        *(entry.vnet for entry in receive.terminate),
        *(vport.vnet for vport in receive.vports.values()),
        *receive.uplink.values(),
        *receive.unknown,
    )
    vports = (*receive.vports, -1 if receive.slow_path is None else receive.slow_path)
    for what, name, number, most in (
        ("terminate", "termination entries", len(receive.terminate), rx_tables.ENTRIES),
        ("terminate", "local addresses", len(receive.local), rx_tables.LOCALS),
        ("options", "known critical Geneve options", len(receive.options), rx_tables.OPTIONS),
        ("vport", "vports", max(vports) + 1, VPORTS),
        ("vnet", "vnets", max(vnets, default=-1) + 1, VNETS),
    ):
        if number > most:
            raise TooMany(what, f"{number} {name}; the card has room for {most}")
    folds: dict[int, Address] = {}
    for address in receive.local:
        other = folds.setdefault(rx_tables.fold(int(address)), address)
        if other != address:
            raise NoRoom(f"the card cannot tell the local addresses {other} and {address} apart; change one")


def local_rows(receive: Receive) -> dict[int, int]:
    """Which encapsulations end at which of our addresses; an address's row is its number."""
    rows = {}
    for address, number in receive.local.items():
        kinds = {KINDS[entry.encapsulation].name.lower() for entry in receive.terminate if entry.local == address}
        fields = {"valid": 1, "ipv6": address.version == 6, "address": int(address)}
        rows[number] = pack(rx_tables.LOCAL_FIELDS, {**fields, **dict.fromkeys(kinds, 1)})
    return rows


def fold_rows(receive: Receive) -> dict[int, int]:
    return match_rows(
        rx_tables.FOLD_FIELDS, {number: rx_tables.fold(int(address)) for address, number in receive.local.items()}
    )


def match_rows(fields: Fields, values: Mapping[int, int]) -> dict[int, int]:
    """The rows of a table in which the numbered `values` are looked up; see `match_fields`."""
    return {
        row: pack(
            fields,
            {
                name: bitmap(number for number, value in values.items() if value >> 4 * at & 15 == row)
                for at, name in enumerate(fields)
            },
        )
        for row in range(rx_tables.MATCH_ROWS)
    }


def terminate_rows(receive: Receive) -> dict[int, int]:
    """Keys to numbers of entries, each where the cuckoo hash finds room."""
    local = receive.local
    entries: dict[Key, int] = {}
    for number, entry in enumerate(receive.terminate):
        has_key = entry.number is not None
        entries[KINDS[entry.encapsulation], local[entry.local], int(has_key), entry.number or 0] = number

    def no_room(key: Key) -> str:
        entry = receive.terminate[entries[key]]
        return f"the termination table has no room for {entry.encapsulation} key {key[-1]:#x} at {entry.local}"

    return {
        place: pack(rx_tables.TERMINATE_FIELDS, {"valid": 1, "entry": entries[key], **TERMINATE_TABLE.values(key)})
        for place, key in Cuckoo(TERMINATE_TABLE, no_room).place(entries).items()
    }


def entry_rows(receive: Receive) -> dict[int, int]:
    return {
        number: pack(
            rx_tables.ENTRY_FIELDS,
            {
                "vnet": entry.vnet,
                "uniform": entry.dscp == "uniform",
                "require_udp_checksum": entry.requires_udp_checksum,
                "nvgre": entry.encapsulation == "nvgre",
                "has_remote": entry.remote is not None,
                "remote": int(entry.remote or 0),
            },
        )
        for number, entry in enumerate(receive.terminate)
    }


def uplink_rows(receive: Receive) -> dict[int, int]:
    """Several VLAN IDs lie in a row."""
    rows: dict[int, dict[str, int]] = {}
    for vlan, vnet in receive.uplink.items():
        if vlan is not None:
            row, lane = divmod(vlan, rx_tables.UPLINKS_A_ROW)
            rows.setdefault(row, {}).update({f"valid{lane}": 1, f"vnet{lane}": vnet})
    return {row: pack(rx_tables.UPLINK_FIELDS, values) for row, values in rows.items()}


def settings_row(receive: Receive) -> int:
    local = receive.local
    virtual = {local[entry.local] for entry in receive.terminate if entry.encapsulation == "nvgre"}
    return pack(
        rx_tables.SETTINGS_FIELDS,
        {
            "uplink_valid": None in receive.uplink,
            "uplink_vnet": receive.uplink.get(None, 0),
            "nvgre": bitmap(virtual),
            "slow_valid": receive.slow_path is not None,
            "slow_vport": receive.slow_path or 0,
            "drop_bad_checksum": bitmap(n for n, vport in receive.vports.items() if vport.drop_bad_checksum),
            "vnet_contexts": receive.vnet_contexts or 0,
            "class_contexts": receive.class_contexts or 0,
        },
    )


def destination_rows(receive: Receive) -> dict[int, int]:
    """(vnet, MAC address) to vports, each where the cuckoo hash finds room."""
    vports: dict[Key, int] = {
        (vport.vnet, int.from_bytes(vport.mac, "big")): number
        for number, vport in receive.vports.items()
        if vport.mac is not None
    }

    def no_room(key: Key) -> str:
        mac = key[1].to_bytes(6, "big").hex(":")
        return f"the destination table has no room for MAC {mac} of vnet {key[0]}"

    return {
        place: pack(rx_tables.DESTINATION_FIELDS, {"valid": 1, "vport": vports[key], **DESTINATION_TABLE.values(key)})
        for place, key in Cuckoo(DESTINATION_TABLE, no_room).place(vports).items()
    }


def vport_rows(receive: Receive) -> dict[int, int]:
    return {
        number: pack(rx_tables.VPORT_FIELDS, {"receive_mtu": vport.receive_mtu, "valid": 1, "vnet": vport.vnet})
        for number, vport in receive.vports.items()
    }


def indirection_rows(receive: Receive) -> dict[int, int]:
    """Several queues lie in a row."""
    lanes, rows = rx_tables.QUEUES_A_ROW, rx_tables.INDIRECTION_ROWS
    return {
        number * rows + row: pack(
            rx_tables.INDIRECTION_FIELDS,
            {f"queue{lane}": vport.indirection[row * lanes + lane] for lane in range(lanes)},
        )
        for number, vport in receive.vports.items()
        for row in range(rows)
    }


def group_rows(receive: Receive) -> dict[int, int]:
    rows: dict[int, int] = {}
    for vnet in {vport.vnet for vport in receive.vports.values()} | set(receive.unknown):
        members = {number: vport for number, vport in receive.vports.items() if vport.vnet == vnet}
        wanting = bitmap(number for number, vport in members.items() if vport.multicast)
        policy = receive.unknown.get(vnet, "drop")
        flooded = bitmap(members) if policy == "flood" else 0
        for group, values in (
            (Group.MULTICAST, {"vports": wanting}),
            (Group.UNKNOWN, {"vports": flooded, "slow": int(policy == "slow")}),
        ):
            rows[len(Group) * vnet + group] = pack(rx_tables.GROUP_FIELDS, values)
    return rows


def option_rows(receive: Receive) -> dict[int, int]:
    return match_rows(
        rx_tables.OPTION_FIELDS, {at: kind << 8 | number for at, (kind, number) in enumerate(receive.options)}
    )


def bitmap(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in numbers)


def filled(table: RxTable, used: Mapping[int, int]) -> Iterator[RxWrite]:
    """All rows of a table, those not in use zero."""
    for row in range(ROWS[table]):
        yield RxWrite(table, row, used.get(row, 0))
