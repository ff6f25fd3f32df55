"""To whom a frame goes: against a search through the rows, under traffic, pauses and table writes."""

import os
from random import Random
from typing import Any

import pytest

from hdl.config import WIDTHS
from hdl.registers.receive import ChecksumStatus, RxReason
from hdl.registers.rows import pack
from hdl.registers.rx_tables import (
    GROUP_FIELDS,
    INDIRECTION_FIELDS,
    SETTINGS_FIELDS,
    VPORT_FIELDS,
    Group,
    RxTable,
)
from hdl.rx.layouts import Completion
from hdl.rx.steer import Steer
from tests.hdl.rx.lookups import Rows, Write, check, full_speed, record
from tests.hdl.stream.drive import repeat, run

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "300"))
TEST = "tests/hdl/rx/test_steer.py"
VNETS = (0, 1, 2, 63)
VPORTS = (3, 17, 40, 63)


def random_writes(rng: Random) -> list[Write]:
    """Fill all tables, in any order, then change rows, and take some away."""
    vports = VPORTS

    def group() -> Write:
        values = {"vports": rng.choice((0, 1 << rng.choice(vports), rng.getrandbits(64))), "slow": rng.random() < 0.3}
        return RxTable.GROUP, 2 * rng.choice(VNETS) + rng.choice(list(Group)), pack(GROUP_FIELDS, values)

    def vport() -> Write:
        mtu = rng.choice((1500, 9000, 65575))
        values = {"receive_mtu": mtu, "valid": rng.random() < 0.8, "vnet": rng.choice(VNETS)}
        return RxTable.VPORT, rng.choice(vports), pack(VPORT_FIELDS, values)

    def indirection() -> Write:
        values = {name: rng.randrange(16) for name in INDIRECTION_FIELDS}
        return RxTable.INDIRECTION, 16 * rng.choice(vports) + rng.randrange(16), pack(INDIRECTION_FIELDS, values)

    def settings() -> Write:
        values = {"slow_valid": rng.random() < 0.7, "slow_vport": rng.randrange(64), "nvgre": rng.getrandbits(16)}
        values |= {"drop_bad_checksum": sum(1 << vport for vport in rng.sample(vports, 2)) | rng.getrandbits(64)}
        return RxTable.SETTINGS, 0, pack(SETTINGS_FIELDS, values)

    groups, queues = [group() for _ in range(12)], [indirection() for _ in range(30)]
    first = [*groups, *(vport() for _ in range(8)), *queues, settings()]
    rng.shuffle(first)
    return [*first, *(rng.choice((group, settings, vport, indirection))() for _ in range(60))]


def random_frame(rng: Random) -> dict[str, Any]:
    many = int(rng.random() < 0.2)
    l3 = rng.choice((7, 9, 11))
    mtu = rng.choice((1500, 9000, 65535))
    status = (ChecksumStatus.NONE, ChecksumStatus.GOOD, ChecksumStatus.GOOD, ChecksumStatus.BAD, ChecksumStatus.PARTIAL)
    reason, slow = rng.choice(((0, 0),) * 8 + ((RxReason.NOT_TERMINATED, 1), (RxReason.STT_TIMEOUT, 0)))
    return record(
        Completion,
        {
            "reason": int(reason),
            "slow": slow,
            "vnet": rng.choice(VNETS),
            "to": {"many": many, "known": int(not many and rng.random() < 0.8), "vport": rng.choice(VPORTS)},
            "length": 2 * l3 + mtu + rng.choice((-1, 0, 1)),
            "gso_size": rng.choice((0, 1448)),
            "patches": {"l3": l3},
            "ip_status": int(rng.choice(status)),
            "l4_status": int(rng.choice(status)),
        },
        rng,
    )


def expect(rows: Rows, frame: dict[str, Any]) -> dict[str, int]:
    """What must be added to a completion, or changed in it; `queue` and `cut` mean nothing if it goes nowhere."""
    settings = rows(RxTable.SETTINGS)
    slow_path = 1 << settings["slow_vport"] if settings["slow_valid"] else 0
    if frame["reason"]:
        if frame["slow"] and slow_path:
            return {"vports": slow_path, "reason": 0, "slow": 1, "queue": 0, "cut": 0}
        return {"vports": 0, "reason": frame["reason"], "slow": 0}
    bad = ChecksumStatus.BAD in (frame["ip_status"], frame["l4_status"])
    unwilling = settings["drop_bad_checksum"] if bad else 0
    many, vport = frame["to"]["many"], frame["to"]["vport"] if frame["to"]["known"] else None
    queue, cut = 0, bool(frame["gso_size"])
    if vport is not None:
        row = rows(RxTable.VPORT, vport)
        vports = 1 << vport if row["valid"] and row["vnet"] == frame["vnet"] else 0  # another vnet's by now: nobody's
        index = frame["hash"] % 128
        queue = rows(RxTable.INDIRECTION, 16 * vport + index // 8)[f"queue{index % 8}"]
        cut &= frame["length"] - 2 * frame["patches"]["l3"] > row["receive_mtu"]
    else:
        group = rows(RxTable.GROUP, 2 * frame["vnet"] + (Group.MULTICAST if many else Group.UNKNOWN))
        vports = slow_path if group["slow"] else group["vports"]
    left = vports & ~unwilling
    if not left:
        return {"vports": 0, "reason": RxReason.BAD_CHECKSUM if vports else RxReason.NO_VPORT, "slow": 0}
    return {"vports": left, "reason": 0, "slow": 0, "queue": queue, "cut": int(cut)}


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.5, 0.8)])
@pytest.mark.parametrize("width", WIDTHS)
def test_random_frames_among_table_writes(width: int, pauses: tuple[float, float]) -> None:
    """Everything else of a completion passes unchanged, in order."""
    rng = Random(SEED)
    frames = [random_frame(rng) for _ in range(FRAMES)]
    left = iter(frames)
    seen = set()

    def same(expected: dict[str, int], found: Any) -> bool:
        wanted = {**next(left), **expected}
        patches, to = wanted.pop("patches"), wanted.pop("to")
        seen.add((expected["reason"], bool(expected["vports"] & expected["vports"] - 1)))
        return all(getattr(found, name) == value for name, value in wanted.items()) and all(
            getattr(part, name) == value
            for part, values in ((found.patches, patches), (found.to, to))
            for name, value in values.items()
        )

    dut = Steer(width)
    check(
        dut,
        dut.i,
        dut.o,
        items=frames,
        writes=random_writes(rng),
        expect=expect,
        same=same,
        rng=rng,
        pauses=pauses,
        gap=20,
    )
    reasons = (0, RxReason.NO_VPORT, RxReason.BAD_CHECKSUM, RxReason.NOT_TERMINATED, RxReason.STT_TIMEOUT)
    assert seen >= {(0, True), *((reason, False) for reason in reasons)}, repeat(TEST, SEED)


@pytest.mark.parametrize("width", WIDTHS)
def test_speed(width: int) -> None:
    """One after the other at 8 bytes a beat, otherwise one a cycle."""
    rng = Random(1)
    dut = Steer(width)
    frames = [record(Completion, {}, rng) for _ in range(60)]
    pace, latency = full_speed(dut, dut.i, dut.o, frames)
    if width == 8:
        assert pace == dut.latency + 1
    else:
        assert pace == 1 and latency == dut.latency + 1


def test_a_vport_of_another_vnet_gets_nothing() -> None:
    """A frame whose address was a vport's of its vnet when it came; the vport has moved, or gone, since."""
    dut, found = Steer(8), []

    async def drive(ctx: Any) -> None:
        for valid, vnet in ((1, 7), (1, 8), (0, 7)):
            row = pack(VPORT_FIELDS, {"receive_mtu": 1500, "valid": valid, "vnet": vnet})
            ctx.set(dut.table, {"valid": 1, "table": RxTable.VPORT, "row": 5, "data": row})
            await ctx.tick()
            ctx.set(dut.table.valid, 0)
            ctx.set(dut.i.payload, {"vnet": 7, "to": {"known": 1, "vport": 5}, "length": 100, "packets": 1})
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.o.ready, 1)
            (delivery,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            found.append((delivery.vports, RxReason(delivery.reason)))
            ctx.set(dut.i.valid, 0)
            await ctx.tick()

    run(dut, drive)
    assert found == [(1 << 5, RxReason.NONE), (0, RxReason.NO_VPORT), (0, RxReason.NO_VPORT)]
