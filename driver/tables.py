"""Every row of a card's tables, and the order in which to write them.

::

    vports off ─▶ templates ─▶ profiles ─▶ tunnels, sequence numbers ─▶ routes ─▶ who is on the card ─▶ vports on

Whatever points at a row is written after the row: no frame meets a tunnel that is half written. Rows out of use are
cleared, so that nothing of an earlier configuration stays. Frames that passed the vport lookup before the first write
go on as they were routed: let the card run empty before changing a profile or a tunnel in use.
"""

from collections.abc import Iterator
from typing import NamedTuple

from driver.changes import changes
from driver.cuckoo import Cuckoo, Key
from driver.network import Destination, Network, ToVport
from driver.profiles import Profile, render, tunnel_fields, uplink
from driver.transport import Transport
from hdl.registers import tables
from hdl.registers.rows import pack
from hdl.registers.tables import EXACT_TABLE, LOCAL_TABLE, Table

MOST_EXACT = 64
ANY_MTU = (1 << tables.LOCAL_VPORT_FIELDS["receive_mtu"]) - 1


def no_room_for_forward(key: Key) -> str:
    vnet, mac = key
    return f"the exact forwarding table has no room for MAC {mac.to_bytes(6, 'big').hex(':')} of vnet {vnet}"


FORWARD = Cuckoo(EXACT_TABLE, no_room_for_forward)


class TooMany(ValueError):
    """More of something than the card has room for; `what` is a word for one of it: tunnel, forward, vport, vnet."""

    def __init__(self, what: str, message: str):
        super().__init__(message)
        self.what = what


class Write(NamedTuple):
    """One row of one table."""

    table: Table
    row: int
    data: int


def program(transport: Transport, network: Network, width: int, *, fresh: bool = False) -> None:
    """Tell a card of `width` bytes a beat its whole configuration. Raises TooMany or NoRoom before the first write.

    `fresh`: nobody has written to it since power-up, so rows that stay zero are left out.
    """
    rows = writes(network, width)
    for write in changes(rows) if fresh else rows:
        transport.write_row(*write)


def writes(network: Network, width: int) -> list[Write]:
    """All rows, in order."""
    check_sizes(network)
    profiles, profile_of = share_profiles(network)
    return [
        *(Write(Table.VPORT, row, 0) for row in range(tables.VPORTS)),
        *template_rows(profiles, width),
        *profile_rows(profiles, network.mtu),
        *tunnel_rows(network, profile_of),
        *route_rows(network),
        *local_rows(network),
        *vport_rows(network),
    ]


def check_sizes(network: Network) -> None:
    """Raise TooMany for what the tables cannot hold or a number that they do not have."""
    exact = sum(mac is not None for _, mac in network.forwarding)
    for what, name, number, most in (
        ("tunnel", "tunnels", len(network.tunnels), tables.TUNNELS),
        ("forward", "exact forwarding entries", exact, MOST_EXACT),
        ("vport", "vports", max(network.vports, default=-1) + 1, tables.VPORTS),
        (
            "vnet",
            "vnets",
            max((*network.vports.values(), *(vnet for vnet, _ in network.forwarding)), default=-1) + 1,
            tables.VNETS,
        ),
    ):
        if number > most:
            raise TooMany(what, f"{number} {name}; the card has room for {most}")


def share_profiles(network: Network) -> tuple[list[Profile], list[int]]:
    """The profiles that the tunnels need, each once, and the profile's number for each tunnel."""
    rendered = [render(tunnel, network.mac) for tunnel in network.tunnels]
    profiles = list(dict.fromkeys(rendered))
    if len(profiles) > tables.PROFILES:
        raise TooMany(
            "tunnel",
            f"the tunnels need {len(profiles)} profiles; the card has {tables.PROFILES}. Tunnels share one if they "
            "differ in nothing but remote, next hop and the key's value",
        )
    return profiles, [profiles.index(profile) for profile in rendered]


def template_rows(profiles: list[Profile], width: int) -> Iterator[Write]:
    beats = tables.TEMPLATE_BYTES // width
    for number in range(tables.PROFILES):
        rows = profiles[number].rows(width) if number < len(profiles) else [0] * beats
        for beat, data in enumerate(rows):
            yield Write(Table.TEMPLATE, number * beats + beat, data)


def profile_rows(profiles: list[Profile], mtu: int) -> Iterator[Write]:
    numbered = [*enumerate(profiles), (tables.UPLINK_PROFILE, uplink(mtu))]
    used = {row: pack(tables.PROFILE_FIELDS, dict(profile.fields)) for row, profile in numbered}
    return cleared(Table.PROFILE, used, tables.UPLINK_PROFILE + 1)


def tunnel_rows(network: Network, profile_of: list[int]) -> Iterator[Write]:
    used = {
        row: pack(tables.TUNNEL_FIELDS, tunnel_fields(tunnel, profile))
        for row, (tunnel, profile) in enumerate(zip(network.tunnels, profile_of, strict=True))
    }
    used[tables.UPLINK_TUNNEL] = pack(tables.TUNNEL_FIELDS, {"profile": tables.UPLINK_PROFILE})
    yield from cleared(Table.TUNNEL, used, tables.UPLINK_TUNNEL + 1)
    yield from cleared(Table.SEQUENCE, {}, tables.TUNNELS)


def destinations(network: Network) -> tuple[dict[int, Destination], dict[Key, Destination]]:
    """Where frames go: by vnet, for any MAC address; and by (vnet, MAC address), for that one."""
    any_mac = {vnet: to for (vnet, mac), to in network.forwarding.items() if mac is None}
    exact: dict[Key, Destination] = {
        (vnet, int.from_bytes(mac, "big")): to for (vnet, mac), to in network.forwarding.items() if mac is not None
    }
    return any_mac, exact


def route_rows(network: Network) -> Iterator[Write]:
    """Wildcards, one a vnet, and exact entries, each where the cuckoo hash finds room."""
    any_mac, exact = destinations(network)
    wildcards = {vnet: pack(tables.ROUTE_FIELDS, route_fields(to)) for vnet, to in any_mac.items()}
    placed = {
        row: pack(tables.EXACT_FIELDS, {**route_fields(exact[key]), **EXACT_TABLE.values(key)})
        for row, key in FORWARD.place(exact).items()
    }
    yield from cleared(Table.WILDCARD, wildcards, tables.VNETS)
    yield from cleared(Table.EXACT, placed, EXACT_TABLE.places)


def local_rows(network: Network) -> Iterator[Write]:
    """Which entries name another vport, for who decides before a frame gets near the routes, and what vports take."""
    for vport in range(tables.VPORTS):
        takes = network.receive_mtu.get(vport, ANY_MTU) if vport in network.vports else 0
        yield Write(Table.LOCAL, tables.LOCAL_VPORTS + vport, pack(tables.LOCAL_VPORT_FIELDS, {"receive_mtu": takes}))
    any_mac, exact = destinations(network)
    used = {tables.LOCAL_WILDCARDS + vnet: pack(tables.LOCAL_FIELDS, local_fields(to)) for vnet, to in any_mac.items()}
    placed = {
        row: pack(LOCAL_TABLE.fields, {**local_fields(exact[key]), **LOCAL_TABLE.values(key)})
        for row, key in FORWARD.place(exact).items()
    }
    for row in (*range(LOCAL_TABLE.places), *range(tables.LOCAL_WILDCARDS, tables.LOCAL_WILDCARDS + tables.VNETS)):
        yield Write(Table.LOCAL, row, {**used, **placed}.get(row, 0))


def local_fields(to: Destination) -> dict[str, int]:
    return {"valid": 1, "local": 1, "vport": to.vport} if isinstance(to, ToVport) else {"valid": 1}


def route_fields(to: Destination) -> dict[str, int]:
    """A frame for another vport does not come so far; where one does, the two tables are being rewritten."""
    if to == "drop" or isinstance(to, ToVport):
        return {"valid": 1, "drop": 1}
    return {"valid": 1, "tunnel": tables.UPLINK_TUNNEL if to == "uplink" else to}


def vport_rows(network: Network) -> Iterator[Write]:
    for vport, vnet in network.vports.items():
        yield Write(Table.VPORT, vport, pack(tables.VPORT_FIELDS, {"valid": 1, "vnet": vnet}))


def cleared(table: Table, used: dict[int, int], rows: int) -> Iterator[Write]:
    """The first `rows` rows of a table, those not in use zero."""
    for row in range(rows):
        yield Write(table, row, used.get(row, 0))
