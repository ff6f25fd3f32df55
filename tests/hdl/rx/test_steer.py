"""To whom a frame goes: against a search through the rows, under traffic, pauses and table writes."""

import os
from random import Random
from typing import Any

import pytest

from driver.cuckoo import Cuckoo, Key
from hdl.config import WIDTHS
from hdl.registers.receive import ChecksumStatus, RxReason
from hdl.registers.rows import pack
from hdl.registers.rx_tables import (
    DESTINATION_FIELDS,
    DESTINATION_TABLE,
    GROUP_FIELDS,
    INDIRECTION_FIELDS,
    SETTINGS_FIELDS,
    VPORT_FIELDS,
    Group,
    RxTable,
)
from hdl.rx.layouts import Completion
from hdl.rx.steer import Steer
from hdl.stream.paced_fifo import PACE
from tests.hdl.rx.lookups import Rows, Write, check, full_speed, record
from tests.hdl.stream.drive import repeat

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "300"))
TEST = "tests/hdl/rx/test_steer.py"
GROUP_MAC = 1 << 40
VNETS = (0, 1, 2, 63)


def random_writes(rng: Random, keys: list[Key]) -> list[Write]:
    """Fill all tables, in any order, then change rows and take some away."""
    placed = Cuckoo(DESTINATION_TABLE, str).place(keys)
    vports = [rng.randrange(8) for _ in range(3)] + [63]

    def place(at: int) -> Write:
        values = {"valid": 1, "vport": rng.choice(vports), **DESTINATION_TABLE.values(placed[at])}
        return RxTable.DESTINATION, at, pack(DESTINATION_FIELDS, values)

    def group() -> Write:
        values = {"vports": rng.choice((0, 1 << rng.choice(vports), rng.getrandbits(64))), "slow": rng.random() < 0.3}
        return RxTable.GROUP, 2 * rng.choice(VNETS) + rng.choice(list(Group)), pack(GROUP_FIELDS, values)

    def vport() -> Write:
        return RxTable.VPORT, rng.choice(vports), pack(VPORT_FIELDS, {"receive_mtu": rng.choice((1500, 9000, 65575))})

    def indirection() -> Write:
        values = {name: rng.randrange(16) for name in INDIRECTION_FIELDS}
        return RxTable.INDIRECTION, 16 * rng.choice(vports) + rng.randrange(16), pack(INDIRECTION_FIELDS, values)

    def settings() -> Write:
        values = {"slow_valid": rng.random() < 0.7, "slow_vport": rng.randrange(64), "nvgre": rng.getrandbits(16)}
        values |= {"drop_bad_checksum": sum(1 << vport for vport in rng.sample(vports, 2)) | rng.getrandbits(64)}
        return RxTable.SETTINGS, 0, pack(SETTINGS_FIELDS, values)

    groups, queues = [group() for _ in range(12)], [indirection() for _ in range(30)]
    first = [*map(place, placed), *groups, *(vport() for _ in range(8)), *queues, settings()]
    rng.shuffle(first)
    kinds = (group, settings, vport, indirection, lambda: place(rng.choice(list(placed))))
    changes = [rng.choice(kinds)() for _ in range(40)]
    return [*first, *changes, *((RxTable.DESTINATION, at, 0) for at in rng.sample(list(placed), 8))]


def random_frame(rng: Random, keys: list[Key]) -> dict[str, Any]:
    vnet, mac = rng.choice(keys)
    if rng.random() < 0.1:
        mac ^= 1 << rng.randrange(40)
    if rng.random() < 0.1:
        vnet = rng.choice(VNETS)
    if rng.random() < 0.2:
        mac = rng.choice((0xFFFFFFFFFFFF, GROUP_MAC | mac))
    l3 = rng.choice((7, 9, 11))
    mtu = rng.choice((1500, 9000, 65535))
    status = (ChecksumStatus.NONE, ChecksumStatus.GOOD, ChecksumStatus.GOOD, ChecksumStatus.BAD, ChecksumStatus.PARTIAL)
    reason, slow = rng.choice(((0, 0),) * 8 + ((RxReason.NOT_TERMINATED, 1), (RxReason.STT_TIMEOUT, 0)))
    return record(
        Completion,
        {
            "reason": int(reason),
            "slow": slow,
            "vnet": vnet,
            "dst_mac": mac,
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
    many = frame["dst_mac"] & GROUP_MAC
    found = {
        (row["vnet"], row["mac"]): row["vport"] for row in rows.all(RxTable.DESTINATION) if row["valid"]
    }  # one at most
    vport = found.get((frame["vnet"], frame["dst_mac"])) if not many else None
    queue, cut = 0, bool(frame["gso_size"])
    if vport is not None:
        vports = 1 << vport
        index = frame["hash"] % 128
        queue = rows(RxTable.INDIRECTION, 16 * vport + index // 8)[f"queue{index % 8}"]
        cut &= frame["length"] - 2 * frame["patches"]["l3"] > rows(RxTable.VPORT, vport)["receive_mtu"]
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
    keys: list[Key] = [(rng.choice(VNETS), rng.getrandbits(48) & ~GROUP_MAC) for _ in range(40)]
    frames = [random_frame(rng, keys) for _ in range(FRAMES)]
    left = iter(frames)
    seen = set()

    def same(expected: dict[str, int], found: Any) -> bool:
        wanted = {**next(left), **expected}
        patches = wanted.pop("patches")
        seen.add((expected["reason"], bool(expected["vports"] & expected["vports"] - 1)))
        return all(getattr(found, name) == value for name, value in wanted.items()) and all(
            getattr(found.patches, name) == value for name, value in patches.items()
        )

    dut = Steer(width)
    check(
        dut,
        dut.i,
        dut.o,
        items=frames,
        writes=random_writes(rng, keys),
        expect=expect,
        same=same,
        rng=rng,
        pauses=pauses,
        gap=3 * PACE[width],
    )
    reasons = (0, RxReason.NO_VPORT, RxReason.BAD_CHECKSUM, RxReason.NOT_TERMINATED, RxReason.STT_TIMEOUT)
    assert seen >= {(0, True), *((reason, False) for reason in reasons)}, repeat(TEST, SEED)


@pytest.mark.parametrize("width", WIDTHS)
def test_one_frame_a_pace(width: int) -> None:
    rng = Random(1)
    dut = Steer(width)
    frames = [record(Completion, {}, rng) for _ in range(60)]
    pace, latency = full_speed(dut, dut.i, dut.o, frames)
    assert pace == PACE[width] and latency == dut.latency + 2
