"""What the driver writes for the receive path: looked up row by row, it is what the description says."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Any

import pytest

import sim.model.receive.terminate as model
from driver.cuckoo import NoRoom
from driver.receive import KINDS, LARGEST_MTU, Address, Receive, Terminate, Vport, spread, writes
from driver.tables import TooMany
from hdl.registers.receive import RxReason
from hdl.registers.rows import row_bits
from hdl.registers.rx_tables import FOLD_TURNS, ROW_FIELDS, ROWS, TERMINATE_TABLE, RxTable, fold
from sim.model.receive.reasons import Dropped
from tests.driver.rx_table_card import GROUP_MAC, RxTableCard

KEY_BITS = {"gre": 32, "nvgre": 32, "vxlan": 24, "geneve": 24, "stt": 64}
HERE, PEER, OTHER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"), IPv4Address("192.0.2.3")
HERE6, PEER6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
MAC = bytes.fromhex("020000000001")


def random_receive(random: Random, entries: int = 64, locals_: int = 16) -> Receive:
    """A full house; at every other local address NVGRE ends instead of GRE with a key."""
    addresses: list[Address] = [ip_address(random.getrandbits(32)) for _ in range(locals_ // 2)]
    addresses += [IPv6Address(random.getrandbits(128)) for _ in range(locals_ - locals_ // 2)]
    terminate: dict[tuple[object, ...], Terminate] = {}
    while len(terminate) < entries:
        number = random.randrange(locals_)
        local = addresses[number]
        kind: Any = random.choice(("nvgre" if number & 1 else "gre", "vxlan", "geneve", "stt"))
        key = random.choice((random.getrandbits(KEY_BITS[kind]), random.randrange(0x400)))
        remote: Any = type(local)(random.choice((int(PEER), int(OTHER)))) if random.random() < 0.5 else None
        udp: Any = random.choice((None, "optional", "required")) if kind in ("vxlan", "geneve") else None
        entry = Terminate(
            encapsulation=kind,
            local=local,
            vnet=random.randrange(64),
            key=None if kind == "gre" and random.random() < 0.1 else key,
            remote=remote,
            udp_checksum=udp,
            dscp=random.choice(("uniform", "pipe")),
        )
        terminate[kind, local, entry.number] = entry
    vports = {
        number: Vport(
            vnet=random.randrange(12),
            mac=bytes([2, *random.randbytes(5)]),
            receive_mtu=random.randrange(68, LARGEST_MTU + 1),
            drop_bad_checksum=random.random() < 0.5,
            multicast=random.random() < 0.5,
            indirection=tuple(random.randrange(16) for _ in range(128)),
        )
        for number in range(64)
    }
    uplink: dict[int | None, int] = {random.randrange(1, 4095): random.randrange(64) for _ in range(40)}
    if random.random() < 0.5:
        uplink[None] = random.randrange(64)
    return Receive(
        terminate=list(terminate.values()),
        vports=vports,
        uplink=uplink,
        slow_path=random.randrange(64),
        unknown={vnet: random.choice(("drop", "flood", "slow")) for vnet in range(20)},
    )


def card_of(receive: Receive) -> RxTableCard:
    card = RxTableCard()
    for write in writes(receive):
        assert write.row < ROWS[write.table] and write.data >> row_bits(ROW_FIELDS[write.table]) == 0
        card.write(write)
    return card


def for_model(entry: Terminate) -> model.Terminate:
    names = ("encapsulation", "local", "vnet", "key", "remote", "udp_checksum", "dscp")
    return model.Terminate(**{name: getattr(entry, name) for name in names})


def expected_entry(receive: Receive, kind: str, local: Address, key: int | None, source: Address) -> object:
    """A reason, or what the entry says, as the reference model finds it."""
    kinds = ("gre", "nvgre") if kind in ("gre", "nvgre") else (kind,)
    entries = [for_model(one) for one in receive.terminate if one.local == local and one.encapsulation in kinds]
    try:
        found = model.find(entries, key, source)
    except Dropped as dropped:
        return RxReason[str(dropped).upper()]
    if found is None:
        return RxReason.NOT_TERMINATED
    virtual = found.encapsulation == "nvgre"
    return found.vnet, found.dscp == "uniform", found.requires_udp_checksum, virtual


def found_entry(
    card: RxTableCard, receive: Receive, kind: Any, local: Address, key: int | None, source: Address
) -> object:
    reason, entry = card.terminate(KINDS[kind], receive.local[local], key, int(source))
    if entry is None:
        return reason
    return tuple(entry[name] for name in ("vnet", "uniform", "require_udp_checksum", "nvgre"))


@pytest.mark.parametrize("seed", range(8))
def test_tunnels_end_as_the_model_says(seed: int) -> None:
    """Every entry's own packets, other peers' and other keys."""
    random = Random(seed)
    receive = random_receive(random)
    card = card_of(receive)
    for entry in receive.terminate:
        for source in (entry.remote, type(entry.local)(int(PEER)), type(entry.local)(7)):
            for flip in (0, 1 << random.randrange(KEY_BITS[entry.encapsulation])):
                key = None if entry.key is None else entry.key ^ flip
                asked = entry.encapsulation, entry.local, key, source or type(entry.local)(9)
                assert found_entry(card, receive, *asked) == expected_entry(receive, *asked), (seed, entry)


@pytest.mark.parametrize("seed", range(4))
def test_frames_go_to_their_vports(seed: int) -> None:
    random = Random(seed)
    receive = random_receive(random)
    card = card_of(receive)
    for number, vport in receive.vports.items():
        assert vport.mac is not None
        mac, hash_value = int.from_bytes(vport.mac, "big"), random.getrandbits(32)
        assert card.steer(vport.vnet, mac, hash_value) == ({number}, vport.indirection[hash_value % 128])
        assert bool(card.steer(vport.vnet, mac, bad=True)[0]) != vport.drop_bad_checksum
        assert card.row(RxTable.VPORT, number) == {"receive_mtu": vport.receive_mtu, "valid": 1, "vnet": vport.vnet}
    for vnet in range(64):
        members = {number: vport for number, vport in receive.vports.items() if vport.vnet == vnet}
        assert card.steer(vnet, 0xFFFFFFFFFFFF)[0] == {number for number in members if members[number].multicast}
        policy = receive.unknown.get(vnet, "drop")
        unknown = {"drop": set(), "flood": set(members), "slow": {receive.slow_path}}[policy]
        assert card.steer(vnet, 0x020000000000)[0] == unknown


@pytest.mark.parametrize("seed", range(4))
def test_bare_frames_by_their_vlan(seed: int) -> None:
    """Every VLAN ID, also those without an entry, and untagged frames."""
    receive = random_receive(Random(seed))
    card = card_of(receive)
    default = receive.uplink.get(None)
    for vlan in (None, *range(4096)):
        assert card.uplink(vlan) == receive.uplink.get(vlan, default)


@pytest.mark.parametrize("seed", range(3))
def test_a_packet_meets_the_old_tables_or_the_new_ones(seed: int) -> None:
    """After every single write: a key or a VLAN leads where it led before, nowhere, or where it leads afterwards."""
    random = Random(seed)
    before = random_receive(random)
    before = replace(before, uplink={**before.uplink, None: 5})
    # what a packet says of its local address must mean the same: one entry of each stands first, in the same order
    first = [next(one for one in before.terminate if one.local == local) for local in before.local]
    others = [one for one in before.terminate if one not in first]
    changed = [replace(one, vnet=one.vnet ^ 1, remote=None) for one in (*first, *random.sample(others, 40))]
    after = replace(before, terminate=changed, uplink={**dict(list(before.uplink.items())[:30]), 1000: 62, None: 63})
    asked: list[tuple[str, Address, int | None, Address]] = [
        (one.encapsulation, one.local, one.key, one.remote or type(one.local)(int(PEER))) for one in before.terminate
    ]
    vlans = [*before.uplink, 1000, 1001]
    card = card_of(before)

    def state() -> list[object]:
        entries = [found_entry(card, before, *one) for one in asked]
        return [*entries, *(card.uplink(vlan) for vlan in vlans)]

    old = state()
    seen = []
    for write in writes(after):
        card.write(write)
        if write.table in (RxTable.TERMINATE, RxTable.SETTINGS, RxTable.UPLINK, RxTable.ENTRY):
            seen.append(state())
    new = seen[-1]
    assert new == [expected_entry(after, *one) for one in asked] + [after.uplink.get(vlan, 63) for vlan in vlans]
    nowhere = (RxReason.NOT_TERMINATED, None)
    for now in seen:
        assert all(one in (was, will, *nowhere) for one, was, will in zip(now, old, new, strict=True)), f"seed {seed}"


def test_nothing_of_an_earlier_configuration_stays() -> None:
    card = card_of(random_receive(Random(3)))
    for write in writes(Receive()):
        card.write(write)
    assert not any(card.rows.values())


@pytest.mark.parametrize("bits", [0, 8, 16])
@pytest.mark.parametrize("kind", ["gre", "nvgre", "vxlan", "stt"])
def test_sixty_four_neighbours_find_room(kind: Any, bits: int) -> None:
    """Keys that differ in six neighbouring bits, at one address: as they are given out in practice."""
    keys = [number << (bits + 8 * (kind == "nvgre")) for number in range(64)]
    entries = [Terminate(encapsulation=kind, local=HERE, vnet=key % 64, key=key) for key in keys]
    card_of(Receive(terminate=entries))


@pytest.mark.parametrize("seed", range(100))
def test_random_entries_always_find_room(seed: int) -> None:
    writes(random_receive(Random(1000 + seed)))


def of(kind: Any = "vxlan", **values: Any) -> Terminate:
    return Terminate(**{"encapsulation": kind, "local": HERE, "vnet": 1, "key": 5, **values})


def port(**values: Any) -> Vport:
    return Vport(**{"vnet": 1, "mac": MAC, **values})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: of("ipip"), "encapsulation is 'ipip'; it must be one of gre, nvgre, vxlan, geneve, stt"),
        (lambda: of(vnet=-1), "vnet is -1"),
        (lambda: of(remote=PEER6), "of two IP versions"),
        (lambda: of(key=None), "vxlan needs a key"),
        (lambda: of(key=1 << 24), "key is 0x1000000; of vxlan it must be 0 to 0xffffff"),
        (lambda: of("stt", udp_checksum="required"), "stt has none"),
        (lambda: of(udp_checksum="never"), "it must be optional or required"),
        (lambda: of(dscp="copy"), "it must be uniform or pipe"),
        (lambda: port(mac=b"\x03" + bytes(5)), "mac is 03:00:00:00:00:00; it must be one station's"),
        (lambda: port(receive_mtu=67), "receive_mtu is 67; it must be 68 to 65575"),
        (lambda: port(indirection=(0,)), "indirection has 1 queues; it needs 128"),
        (lambda: port(indirection=(16,) * 128), "indirection names queue 16; a vport has 0 to 15"),
        (lambda: spread(17), "queues is 17; a vport has 1 to 16"),
        (lambda: Receive(vports={-1: port()}), "vport is -1"),
        (lambda: Receive(vports={0: port(), 3: port()}), "vports 0 and 3 of vnet 1 both have 02:00:00:00:00:01"),
        (lambda: Receive(uplink={4095: 0}), "vlan is 4095; it must be 1 to 4094"),
        (lambda: Receive(unknown={0: "flod"}), "unknown is 'flod'"),  # type: ignore[dict-item]
        (lambda: Receive(unknown={0: "slow"}), "unknown is slow for vnet 0, but there is no slow path"),
        (lambda: Receive(terminate=[of(), of(vnet=2)]), "vxlan at 192.0.2.1 with key 0x5 is terminated twice"),
        (lambda: Receive(terminate=[of("nvgre", key=0x501), of("nvgre", key=0x502)]), "is terminated twice"),
        (lambda: Receive(terminate=[of("nvgre"), of("gre")]), "both gre with a key and nvgre end at 192.0.2.1"),
    ],
)
def test_says_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_gre_without_a_key_and_nvgre_may_share_an_address() -> None:
    receive = Receive(terminate=[of("nvgre", key=0x501), of("gre", key=None, vnet=2)])
    card = card_of(receive)
    assert found_entry(card, receive, "gre", HERE, 0x5FF, PEER) == (1, 0, 0, 1)
    assert found_entry(card, receive, "gre", HERE, None, PEER) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    "receive, what, message",
    [
        (Receive(terminate=[of(key=k) for k in range(65)]), "terminate", "65 termination entries"),
        (Receive(terminate=[of(local=HERE + k) for k in range(17)]), "terminate", "17 local addresses"),
        (Receive(vports={64: port()}), "vport", "65 vports"),
        (Receive(slow_path=64), "vport", "65 vports"),
        (Receive(vports={0: port(vnet=64)}), "vnet", "65 vnets"),
        (Receive(uplink={None: 64}), "vnet", "65 vnets"),
    ],
)
def test_refuses_what_the_card_has_no_room_for(receive: Receive, what: str, message: str) -> None:
    with pytest.raises(TooMany, match=message) as error:
        writes(receive)
    assert error.value.what == what


def look_up(table: RxTable, receive: Receive, value: int) -> set[int]:
    """The entries that have all four bits of a value where it has them."""
    fields, rows = ROW_FIELDS[table], {write.row: write.data for write in writes(receive) if write.table == table}
    hits = set(range(next(iter(fields.values()))))
    for at, entries in enumerate(fields.values()):
        bits = rows[value >> 4 * at & 15] >> entries * at
        hits = {number for number in hits if bits >> number & 1}
    return hits


def test_a_fold_finds_one_local_address() -> None:
    receive = random_receive(Random(1))
    assert len(receive.local) == 16
    for address, number in receive.local.items():
        assert look_up(RxTable.FOLD, receive, fold(int(address))) == {number}
    assert look_up(RxTable.FOLD, receive, fold(int(OTHER))) == set()
    assert fold(int(HERE)) == int(HERE), "no two IPv4 addresses have the same"


def test_a_critical_option_is_found_by_class_and_type() -> None:
    options = [(0x0102, 0x80), (0x0102, 0x81), (0x1102, 0x80), (0xFFFF, 0xFF)]
    receive = Receive(options=options)
    for number, (group, kind) in enumerate(options):
        assert look_up(RxTable.OPTION, receive, group << 8 | kind) == {number}
    assert look_up(RxTable.OPTION, receive, 0x110281) == look_up(RxTable.OPTION, receive, 0) == set()


def test_refuses_local_addresses_that_the_card_cannot_tell_apart() -> None:
    twin = IPv6Address(int(HERE6) ^ 1 << 32 ^ 1 << FOLD_TURNS[1])
    assert fold(int(HERE6)) == fold(int(twin))
    message = f"cannot tell the local addresses {HERE6} and {twin} apart"
    with pytest.raises(NoRoom, match=message):
        writes(Receive(terminate=[of(local=HERE6), of(local=HERE), of(local=twin)]))


def test_no_room_names_the_entry() -> None:
    """Keys with the same row in every way: the hash is linear, so bits are combined until all rows cancel."""
    by_hash: dict[int, tuple[int, int]] = {}
    found = list[int]()
    for bit in range(64):
        key = 1 << bit
        rows = sum(TERMINATE_TABLE.row(way, (0, 0, 0, key)) << 5 * way for way in range(TERMINATE_TABLE.ways))
        while rows and rows.bit_length() in by_hash:
            other_rows, other = by_hash[rows.bit_length()]
            rows, key = rows ^ other_rows, key ^ other
        if rows:
            by_hash[rows.bit_length()] = rows, key
        else:
            found.append(key)
    receive = Receive(terminate=[of("stt", key=key) for key in found[:5]])
    message = f"the termination table has no room for stt key {found[4]:#x} at 192.0.2.1 beside the 4 entries it holds"
    with pytest.raises(NoRoom, match=message):
        writes(receive)


def test_a_group_address_is_never_a_vports() -> None:
    card = card_of(Receive(vports={7: port()}))
    mac = int.from_bytes(MAC, "big")
    assert card.steer(1, mac)[0] == {7} and card.steer(1, mac | GROUP_MAC)[0] == {7}
    assert card.steer(2, mac)[0] == card.steer(2, mac | GROUP_MAC)[0] == set()


def test_a_flow_id_is_never_taken_for_a_part_of_the_vsid() -> None:
    """While tables change, the key 0x501 (VSID 5) does not lead to the VSID 0x501."""
    entries = [of("nvgre", key=0x500, vnet=1), of("nvgre", key=0x50100, vnet=2)]
    card = RxTableCard()
    for receive in (Receive(terminate=entries), Receive(), Receive(terminate=entries[::-1])):
        for write in writes(receive):
            card.write(write)
            reason, entry = card.terminate(KINDS["nvgre"], 0, 0x501, int(PEER))
            assert entry["vnet"] == 1 if entry else reason == RxReason.NOT_TERMINATED


def test_contexts() -> None:
    def row(receive: Receive) -> dict[str, int]:
        return card_of(receive).row(RxTable.SETTINGS)

    given = row(Receive(vnet_contexts=256, class_contexts=3))
    assert (given["vnet_contexts"], given["class_contexts"]) == (256, 3)
    default = row(Receive())
    assert (default["vnet_contexts"], default["class_contexts"]) == (0, 0), "the card's own"
    for name in ("vnet_contexts", "class_contexts"):
        for contexts in (0, -1, 512):
            with pytest.raises(ValueError, match=f"{name} is {contexts}; it must be 1 to 511"):
                Receive(**{name: contexts})  # type: ignore[arg-type]
