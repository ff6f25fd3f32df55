"""Which vport has an address: against a search through the rows, under traffic and table writes."""

import os
from random import Random
from typing import Any

import pytest

from driver.cuckoo import Cuckoo, Key
from hdl.config import WIDTHS
from hdl.registers.rows import pack
from hdl.registers.rx_tables import DESTINATION_FIELDS, DESTINATION_TABLE, RxTable
from hdl.rx.find import Find
from hdl.table.exact import PROBES
from tests.hdl.rx.lookups import Rows, Write, check_unheld
from tests.hdl.stream.drive import repeat, run

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "300"))
TEST = "tests/hdl/rx/test_find.py"
GROUP_MAC = 1 << 40
VNETS = (0, 1, 2, 63)


def random_writes(rng: Random, keys: list[Key]) -> list[Write]:
    placed = Cuckoo(DESTINATION_TABLE, str).place(keys)

    def place(at: int) -> Write:
        values = {"valid": 1, "vport": rng.randrange(64), **DESTINATION_TABLE.values(placed[at])}
        return RxTable.DESTINATION, at, pack(DESTINATION_FIELDS, values)

    changes = [place(rng.choice(list(placed))) for _ in range(20)]
    return [*map(place, placed), *changes, *((RxTable.DESTINATION, at, 0) for at in rng.sample(list(placed), 8))]


def expect(rows: Rows, frame: tuple[int, int]) -> dict[str, int]:
    many = int(bool(frame[1] & GROUP_MAC))
    for row in rows.all(RxTable.DESTINATION):
        if row["valid"] and not many and (row["vnet"], row["mac"]) == frame:
            return {"many": 0, "known": 1, "vport": row["vport"]}
    return {"many": many, "known": 0}


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("width", WIDTHS)
def test_random_frames_among_table_writes(width: int, pause: float) -> None:
    rng = Random(SEED)
    keys: list[Key] = [(rng.choice(VNETS), rng.getrandbits(48) & ~GROUP_MAC) for _ in range(40)]
    frames = []
    for _ in range(FRAMES + 1000 // PROBES[width]):
        vnet, mac = rng.choice(keys)
        mac = rng.choice((mac,) * 7 + (mac ^ 1 << rng.randrange(40), 0xFFFFFFFFFFFF, GROUP_MAC | mac))
        frames.append((rng.choice(VNETS) if rng.random() < 0.1 else vnet, mac))
    seen = set()

    def same(expected: dict[str, int], found: Any, _: Any) -> bool:
        fits = all(getattr(found, name) == value for name, value in expected.items())
        if fits:
            seen.add((expected["many"], expected["known"]))
        return fits

    dut = Find(width)

    def ask(ctx: Any, frame: tuple[int, int] | None) -> None:
        for valid, value, part in ((dut.vnet_valid, dut.vnet, 0), (dut.mac_valid, dut.mac, 1)):
            ctx.set(valid, frame is not None)
            if frame:
                ctx.set(value, frame[part])

    check_unheld(
        dut,
        ask=ask,
        came=dut.o_valid,
        answer=dut.o,
        items=frames,
        writes=random_writes(rng, keys),
        expect=expect,
        same=same,
        pace=PROBES[width],
        latency=dut.latency,
        rng=rng,
        pause=pause,
        gap=4,
    )
    assert seen == {(0, 0), (0, 1), (1, 0)}, repeat(TEST, SEED)


@pytest.mark.parametrize("width", WIDTHS)
def test_vnets_and_addresses_meet_in_order(width: int) -> None:
    """Whichever comes first, and however close."""
    rng, dut = Random(SEED), Find(width)
    macs = [rng.getrandbits(48) | (number % 2) * GROUP_MAC for number in range(60)]
    got: list[int] = []

    def give(valid: Any, value: Any, items: list[int], ahead: int) -> Any:
        async def source(ctx: Any) -> None:
            for number, item in enumerate(items):
                while len(got) + ahead < number:
                    await ctx.tick()
                ctx.set(valid, 1)
                ctx.set(value, item)
                await ctx.tick()
                ctx.set(valid, 0)
                for _ in range(rng.choice((0, 0, 7))):
                    await ctx.tick()

        return source

    async def watch(ctx: Any) -> None:
        while len(got) < len(macs):
            _, _, came, found = await ctx.tick().sample(dut.o_valid, dut.o)
            if came:
                got.append(found.many)

    vnets = [rng.randrange(64) for _ in macs]
    run(dut, give(dut.vnet_valid, dut.vnet, vnets, 5), give(dut.mac_valid, dut.mac, macs, 9), watch)
    assert got == [int(bool(mac & GROUP_MAC)) for mac in macs], repeat(TEST, SEED)
