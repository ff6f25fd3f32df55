"""Whose a packet is: against a search through the rows, under traffic, pauses and table writes."""

import os
from random import Random
from typing import Any

import pytest

from driver.cuckoo import Cuckoo, Key
from hdl.config import WIDTHS
from hdl.registers.receive import Encapsulation, RxReason
from hdl.registers.rows import pack
from hdl.registers.rx_tables import (
    ENTRY_FIELDS,
    SETTINGS_FIELDS,
    TERMINATE_FIELDS,
    TERMINATE_TABLE,
    UPLINK_FIELDS,
    RxTable,
)
from hdl.rx.layouts import Request
from hdl.rx.terminate import REQUEST_PACE, Terminate
from tests.hdl.rx.lookups import Rows, Write, check_unheld, record
from tests.hdl.stream.drive import repeat, run

SEED = int(os.environ.get("SEED", "1"))
PACKETS = int(os.environ.get("PACKETS", "300"))
TEST = "tests/hdl/rx/test_terminate.py"
BARE, GRE, VXLAN, GENEVE, STT = Encapsulation
NVGRE_LOCALS = (2, 5)
KEY_BITS = {GRE: 32, VXLAN: 24, GENEVE: 24, STT: 64}


def random_keys(rng: Random, count: int) -> list[Key]:
    """(kind, local, has_key, key) of entries; locals in `NVGRE_LOCALS` have VSIDs instead of GRE keys."""
    found: dict[Key, None] = {}
    while len(found) < count:
        kind = rng.choice((GRE, GRE, VXLAN, GENEVE, STT))
        local, has_key = rng.randrange(8), int(kind != GRE or rng.random() < 0.8)
        bits = 24 if kind == GRE and local in NVGRE_LOCALS else KEY_BITS[kind]
        key = rng.choice((rng.getrandbits(bits), rng.randrange(16))) if has_key else 0
        found[int(kind), local, has_key, key] = None
    return list(found)


def random_writes(rng: Random, keys: list[Key], addresses: list[int]) -> list[Write]:
    """Fill all tables, in any order, then change rows and take some away."""
    placed = Cuckoo(TERMINATE_TABLE, str).place(keys)
    numbers = dict(zip(keys, rng.sample(range(64), len(keys)), strict=True))

    def entry(key: Key) -> Write:
        values = {
            "vnet": rng.randrange(64),
            "uniform": rng.randrange(2),
            "require_udp_checksum": rng.random() < 0.3,
            "nvgre": key[0] == GRE and key[1] in NVGRE_LOCALS and key[2],
            "has_remote": rng.random() < 0.6,
            "remote": rng.choice(addresses),
        }
        return RxTable.ENTRY, numbers[key], pack(ENTRY_FIELDS, values)

    def uplink() -> Write:
        row = {name: rng.getrandbits(width) for name, width in UPLINK_FIELDS.items()}
        return RxTable.UPLINK, rng.choice((0, 3, 1023)), pack(UPLINK_FIELDS, row)

    def settings() -> Write:
        row = {"uplink_valid": rng.randrange(2), "uplink_vnet": rng.randrange(64)}
        row |= {"nvgre": sum(1 << local for local in NVGRE_LOCALS), "slow_vport": rng.randrange(64)}
        return RxTable.SETTINGS, 0, pack(SETTINGS_FIELDS, row)

    def place(at: int) -> Write:
        values = {"valid": 1, "entry": numbers[placed[at]], **TERMINATE_TABLE.values(placed[at])}
        return RxTable.TERMINATE, at, pack(TERMINATE_FIELDS, values)

    first = [*map(entry, keys), *map(place, placed), *(uplink() for _ in range(6))]
    rng.shuffle(first)
    changes = [rng.choice((uplink, settings, lambda: entry(rng.choice(keys))))() for _ in range(30)]
    removed = [(RxTable.TERMINATE, at, 0) for at in rng.sample(list(placed), 8)]
    # the settings say what a key is: before any traffic
    return [settings(), *first, *changes, *removed]


def random_packet(rng: Random, keys: list[Key], addresses: list[int]) -> dict[str, Any]:
    kind, local, has_key, key = rng.choice(keys)
    if kind == GRE and has_key and local in NVGRE_LOCALS:
        key = key << 8 | rng.getrandbits(8)
    if rng.random() < 0.1:  # a stranger's
        kind, local, key = (
            rng.randrange(1, 5),
            rng.randrange(16),
            key ^ 1 << rng.randrange(KEY_BITS[Encapsulation(kind)]),
        )
        key &= (1 << KEY_BITS[Encapsulation(kind)]) - 1
    if rng.random() < 0.25:
        kind = BARE
    if kind != GRE:
        has_key = rng.randrange(2)  # says nothing
    elif not has_key:
        key = rng.getrandbits(64)  # likewise
    ipv6 = rng.randrange(2)
    source = rng.choice(addresses)
    return record(
        Request,
        {
            "kind": int(kind),
            "asked": kind != BARE and (kind != STT or rng.random() < 0.7),
            "local": local,
            "source": source if ipv6 else source & 0xFFFFFFFF | rng.randrange(2) << 80,
            "ipv6": ipv6,
            "has_key": has_key,
            "key": key,
            "vid": rng.choice((0, 1, 2, 3, 12, 13, 15, 4092, 4094, 77)),
        },
        rng,
    )


def expect(rows: Rows, packet: dict[str, Any]) -> dict[str, int]:
    """What must come of a packet; fields that mean nothing are left out."""
    kind = packet["kind"]
    settings = rows(RxTable.SETTINGS)
    found = {"reason": 0}
    if kind == BARE:
        lane = packet["vid"] % 4
        row = rows(RxTable.UPLINK, packet["vid"] // 4)
        found["nvgre"] = 0  # whatever entry was read for it
        if packet["tagged"] and row[f"valid{lane}"]:
            return {**found, "vnet": row[f"vnet{lane}"]}
        if settings["uplink_valid"]:
            return {**found, "vnet": settings["uplink_vnet"]}
        return {**found, "reason": RxReason.NOT_TERMINATED}
    if not packet["asked"]:
        return found
    has_key = int(packet["has_key"] or kind != GRE)
    virtual = kind == GRE and settings["nvgre"] >> packet["local"] & 1
    key = packet["key"] & (1 << KEY_BITS[Encapsulation(kind)]) - 1
    asked = (kind, packet["local"], has_key, (key >> 8 if virtual else key) if has_key else 0)
    numbers = {
        tuple(row[name] for name in TERMINATE_TABLE.key): row["entry"]
        for row in rows.all(RxTable.TERMINATE)
        if row["valid"]
    }
    if asked not in numbers:
        return {**found, "reason": RxReason.NOT_TERMINATED}
    entry = rows(RxTable.ENTRY, numbers[asked])
    mask = (1 << (128 if packet["ipv6"] else 32)) - 1
    found |= {"entry": numbers[asked], "vnet": entry["vnet"], "uniform": entry["uniform"], "nvgre": entry["nvgre"]}
    if entry["has_remote"] and (entry["remote"] ^ packet["source"]) & mask:
        return {**found, "reason": RxReason.UNKNOWN_PEER}
    if entry["require_udp_checksum"] and not packet["has_checksum"]:
        return {**found, "reason": RxReason.UDP_CHECKSUM_MISSING}
    if entry["nvgre"] and (packet["has_checksum"] or packet["has_sequence"]):
        return {**found, "reason": RxReason.GRE_FLAGS}
    return found


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("width", WIDTHS)
def test_random_packets_among_table_writes(width: int, pause: float) -> None:
    """At full speed, too."""
    rng = Random(SEED)
    addresses = [rng.getrandbits(128), *(rng.getrandbits(32) for _ in range(2))]
    addresses += [addresses[1] ^ 1 << 31, addresses[0] ^ 1 << 127, addresses[0] ^ 1]
    keys = random_keys(rng, 40)
    # the first until the tables are full, a row taking some twenty cycles
    packets = [random_packet(rng, keys, addresses) for _ in range(PACKETS + 2500 // REQUEST_PACE[width])]
    seen = set()

    def same(expected: dict[str, int], found: Any, _: Any) -> bool:
        fits = all(getattr(found, name) == value for name, value in expected.items())
        if fits:
            seen.add(expected["reason"])
        return fits

    dut = Terminate(width)

    def ask(ctx: Any, packet: dict[str, Any] | None) -> None:
        ctx.set(dut.request_valid, packet is not None)
        if packet:
            ctx.set(dut.request, packet)

    check_unheld(
        dut,
        ask=ask,
        came=dut.response_valid,
        answer=dut.response,
        items=packets,
        writes=random_writes(rng, keys, addresses),
        expect=expect,
        same=same,
        pace=REQUEST_PACE[width],
        latency=dut.latency,
        rng=rng,
        pause=pause,
        gap=4,
    )
    assert len(seen) >= 5, repeat(TEST, SEED)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_vnet_comes_first(width: int) -> None:
    """With the vnet of the answer."""
    dut, vnets, answers = Terminate(width), list[tuple[int, int]](), list[tuple[int, int]]()

    async def drive(ctx: Any) -> None:
        for vnet in (5, 9, 63):
            ctx.set(
                dut.table,
                {
                    "valid": 1,
                    "table": RxTable.SETTINGS,
                    "data": pack(SETTINGS_FIELDS, {"uplink_valid": 1, "uplink_vnet": vnet}),
                },
            )
            await ctx.tick()
            ctx.set(dut.table.valid, 0)
            ctx.set(dut.request, {"kind": BARE})
            ctx.set(dut.request_valid, 1)
            await ctx.tick()
            ctx.set(dut.request_valid, 0)
            for cycle in range(1, dut.latency + 1):
                if ctx.get(dut.vnet_valid):
                    vnets.append((cycle, ctx.get(dut.vnet)))
                if ctx.get(dut.response_valid):
                    answers.append((cycle, ctx.get(dut.response.vnet)))
                await ctx.tick()

    run(dut, drive)
    assert vnets == [(dut.vnet_latency, vnet) for vnet in (5, 9, 63)]
    assert answers == [(dut.latency, vnet) for vnet in (5, 9, 63)]
