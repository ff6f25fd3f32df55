"""What is written, where and in which order; what does not fit is refused before the first write."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from random import Random

import pytest

from driver import tables
from driver.cuckoo import Key, NoRoom
from driver.network import Network, ToVport, Tunnel
from driver.tables import FORWARD, TooMany, program, writes
from hdl.registers.rows import pack
from hdl.registers.tables import (
    EXACT_TABLE,
    LOCAL_FIELDS,
    LOCAL_VPORT_FIELDS,
    LOCAL_VPORTS,
    LOCAL_WILDCARDS,
    PROFILES,
    Table,
)
from tests.driver.table_card import TableCard

MAC, NEXT_HOP = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


def tunnel(number: int, **more: object) -> Tunnel:
    values = {"encapsulation": "vxlan", "key": number, "mtu": 1500, "next_hop": NEXT_HOP, **more}
    return Tunnel(local=IPv4Address("192.0.2.1"), remote=IPv4Address("198.51.100.0") + number, **values)  # type: ignore[arg-type]


def network(tunnels: list[Tunnel], **more: object) -> Network:
    values = {
        "mac": MAC,
        "mtu": 1500,
        "vports": {0: 0},
        "forwarding": {(0, None): "uplink"},
        "tunnels": tunnels,
        **more,
    }
    return Network(**values)  # type: ignore[arg-type]


def test_order_of_writes() -> None:
    """Nothing points at a row that is not written yet, and no vport is open until all else is in place."""
    of = network([tunnel(1)], forwarding={(0, None): 0, (0, MAC): "drop"}, vports={0: 0, 5: 0})
    card = TableCard()
    program(card, of, 8)
    last = {table: max(at for at, (one, _) in enumerate(card.order) if one is table) for table in Table}
    first = {table: min(at for at, (one, _) in enumerate(card.order) if one is table) for table in Table}
    assert last[Table.TEMPLATE] < first[Table.PROFILE] < last[Table.PROFILE] < first[Table.TUNNEL]
    assert last[Table.TUNNEL] < min(first[Table.WILDCARD], first[Table.EXACT])
    opened = [at for at, write in enumerate(writes(of, 8)) if write.table is Table.VPORT and write.data]
    assert min(opened) > max(last[Table.WILDCARD], last[Table.EXACT], last[Table.LOCAL], last[Table.SEQUENCE])
    assert [write.data for write in writes(of, 8)[:64]] == [0] * 64, "first of all, every vport is off"


def test_who_is_on_the_card() -> None:
    """Exact before wildcard, to the wire before a wildcard to a vport; a vport of another vnet is not on offer."""
    macs = [bytes([2, 0, 0, 0, 0, number]) for number in range(5)]
    forwarding = {
        (0, macs[0]): ToVport(3),
        (0, macs[1]): 0,
        (0, macs[2]): "drop",
        (0, None): ToVport(4),
        (1, macs[0]): ToVport(9),
        (1, None): "uplink",
    }
    card = TableCard()
    of = network([tunnel(1)], forwarding=forwarding, vports={0: 0, 3: 0, 4: 0, 8: 1, 9: 1})
    program(card, replace(of, receive_mtu={3: 1500}), width=8)
    assert [card.neighbour(0, mac) for mac in macs] == [3, None, None, 4, 4]
    assert [card.neighbour(8, mac) for mac in macs] == [9, None, None, None, None]
    assert card.neighbour(7, macs[0]) is None
    takes = [card.row(Table.LOCAL, LOCAL_VPORTS + vport, LOCAL_VPORT_FIELDS)["receive_mtu"] for vport in (3, 4)]
    assert takes == [1500, 0x1FFFF]
    card.write_row(Table.LOCAL, LOCAL_WILDCARDS, pack(LOCAL_FIELDS, {"valid": 1, "local": 1, "vport": 9}))
    assert card.neighbour(0, macs[3]) is None


def test_nothing_of_an_earlier_configuration_stays() -> None:
    large = network(
        [tunnel(k, ttl=k) for k in range(1, 17)],
        vports=dict.fromkeys(range(64), 3),
        forwarding={(3, bytes([2, 0, 0, 0, 0, k])): k % 16 for k in range(64)},
    )
    small = network([tunnel(1)])
    reused, fresh = TableCard(), TableCard()
    program(reused, large, 8)
    program(reused, small, 8)
    program(fresh, small, 8)
    assert reused.rows == fresh.rows


def test_tunnels_that_differ_in_remote_and_key_share_a_profile() -> None:
    profiles, profile_of = tables.share_profiles(network([tunnel(k) for k in range(64)]))
    assert len(profiles) == 1 and profile_of == [0] * 64


@pytest.mark.parametrize("change", [{"ttl": 9}, {"df": False}, {"dscp": 0}, {"vlan": 7}, {"checksum": True}])
def test_tunnels_that_differ_in_a_constant_do_not(change: dict[str, object]) -> None:
    profiles, profile_of = tables.share_profiles(network([tunnel(1), tunnel(2, **change), tunnel(3)]))
    assert len(profiles) == 2 and profile_of == [0, 1, 0]


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (network([tunnel(k) for k in range(65)]), "65 tunnels; the card has room for 64"),
        (network([tunnel(k, ttl=k + 1) for k in range(17)]), f"need 17 profiles; the card has {PROFILES}"),
        (network([], vports={64: 0}), "65 vports; the card has room for 64"),
        (network([], vports={0: 64}), "65 vnets; the card has room for 64"),
        (
            network([], forwarding={(0, k.to_bytes(6, "big")): "drop" for k in range(65)}),
            "65 exact forwarding entries; the card has room for 64",
        ),
    ],
)
def test_too_many(of: Network, message: str) -> None:
    card = TableCard()
    with pytest.raises(TooMany, match=message):
        program(card, of, 8)
    assert not card.order


def test_full_house() -> None:
    """As many of everything as there is room for."""
    tunnels = [tunnel(k, ttl=k % 16 + 1) for k in range(64)]
    forwarding = {(k, None): k for k in range(64)} | {(k, k.to_bytes(6, "big")): "uplink" for k in range(64)}
    card = TableCard(64)
    program(card, network(tunnels, vports={k: k for k in range(64)}, forwarding=forwarding), 64)
    for vport in range(64):
        assert card.route(vport, bytes(6 - 1) + bytes([vport]))[1] == 64
        assert card.route(vport, NEXT_HOP)[1] == vport


@pytest.mark.parametrize("seed", range(200))
def test_sixty_four_random_entries_always_find_room(seed: int) -> None:
    random = Random(seed)
    keys = {(random.randrange(64), random.getrandbits(48)) for _ in range(64)}
    table = FORWARD.place(sorted(keys))
    assert set(table.values()) == keys, f"repeat: pytest tests/driver/test_tables.py -k 'always and {seed}'"
    assert all(row in EXACT_TABLE.places_of(key) for row, key in table.items())


@pytest.mark.parametrize("shift", range(41))
def test_sixty_four_neighbours_find_room(shift: int) -> None:
    """MAC addresses that differ in six neighbouring bits, wherever these are: as they are given out in practice."""
    keys = [(3, 0x020000000000 ^ (number << shift)) for number in range(64)]
    assert set(FORWARD.place(keys).values()) == set(keys)


@pytest.mark.parametrize("seed", range(5))
def test_long_chains_of_moves(seed: int) -> None:
    """Far more entries than are promised: nine rows in ten taken, so that making room takes several moves."""
    random = Random(seed)
    keys = [(random.randrange(64), random.getrandbits(48)) for _ in range(EXACT_TABLE.places * 9 // 10)]
    table = FORWARD.place(keys)
    assert set(table.values()) == set(keys) and len(table) == len(keys)
    assert all(row in EXACT_TABLE.places_of(key) for row, key in table.items())


def test_placement_is_the_same_every_time() -> None:
    keys = [(k % 3, 0x525400000000 + 7 * k) for k in range(64)]
    assert FORWARD.place(keys) == FORWARD.place(keys)


def test_entries_are_moved_to_make_room() -> None:
    """An entry whose four rows are taken by entries that could be elsewhere gets one, and nothing is lost."""
    random, key = Random(1), (0, 1)
    blockers = [
        next(other for other in draw(random) if EXACT_TABLE.places_of(other)[way] == row)
        for way, row in enumerate(EXACT_TABLE.places_of(key))
    ]
    table = dict(zip(EXACT_TABLE.places_of(key), blockers, strict=True))
    FORWARD.insert(table, key)
    assert set(table.values()) == {*blockers, key} and len(table) == EXACT_TABLE.ways + 1
    assert all(row in EXACT_TABLE.places_of(one) for row, one in table.items())


def draw(random: Random) -> Iterator[Key]:
    while True:
        yield 0, random.getrandbits(48)


def test_no_room_leaves_the_table_as_it_was() -> None:
    """One more key with the same four rows than there are ways: said, not half done."""
    *keys, last = colliding(EXACT_TABLE.ways + 1)
    table = FORWARD.place(keys)
    before = dict(table)
    with pytest.raises(NoRoom, match=r"has no room for MAC .* of vnet 0 beside the 4 entries it holds"):
        FORWARD.insert(table, last)
    assert table == before


def colliding(count: int) -> list[Key]:
    """Keys with row 0 in every way. The hash is linear: bits of addresses are combined until all their rows cancel."""
    by_hash: dict[int, tuple[int, int]] = {}  # leading bit of a hash to (hash, address)
    found = list[Key]()
    for bit in range(48):
        mac = 1 << bit
        rows = sum(EXACT_TABLE.row(way, (0, mac)) << 5 * way for way in range(EXACT_TABLE.ways))
        while rows and rows.bit_length() in by_hash:
            other_rows, other = by_hash[rows.bit_length()]
            rows, mac = rows ^ other_rows, mac ^ other
        if rows:
            by_hash[rows.bit_length()] = rows, mac
        else:
            found.append((0, mac))
    assert all(row % EXACT_TABLE.rows == 0 for key in found for row in EXACT_TABLE.places_of(key))
    return found[:count]


def test_a_network_that_differs_in_a_mac_differs_in_rows() -> None:
    """The uplink's address stands in every template."""
    of = network([tunnel(1)])
    assert writes(of, 8) != writes(replace(of, mac=NEXT_HOP), 8)
