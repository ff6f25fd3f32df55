"""Two parts become one packet, byte-tight, without bubbles."""

import random

import pytest

from hdl.stream.join import Join
from tests.hdl.stream.drive import receive, run, send

SEED = 41


def part(width, at, data, *, more, last_more=0, last_join=0):
    """Beats of a part that begins at byte `at` of its first beat."""
    padded = bytes(at) + data
    rows = [padded[i : i + width] for i in range(0, len(padded), width)] or [b""]
    full = bool(padded) and len(padded) % width == 0
    return [
        {
            "data": int.from_bytes(row, "little"),
            "last": last,
            "more": last and (1 if more else last_more),
            "join": last and (not full if more else last_join),
            "bytes": len(row) if last else width,
        }
        for i, row in enumerate(rows)
        for last in [i == len(rows) - 1]
    ]


@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_join(width, pause):
    rng = random.Random(SEED + width)
    first, second, expected, total = [], [], [], 0
    for _ in range(60):
        a = rng.randbytes(rng.choice([0, 1, width - 1, width, 2 * width, rng.randint(0, 4 * width)]))
        b = rng.randbytes(rng.choice([1, width - 1, width, rng.randint(1, 4 * width)]))
        more, join = rng.getrandbits(1), rng.getrandbits(1)
        if not a or rng.random() < 0.7:
            first += part(width, 0, a, more=True)
            second += part(width, len(a) % width, b, more=False, last_more=more, last_join=join)
            expected.append((a + b, more, join))
            total += -(-len(a + b) // width)
        else:
            first += part(width, 0, a, more=False)
            expected.append((a, 0, None))
            total += -(-len(a) // width)
    dut = Join(width)
    got, packet, cycles = [], bytearray(), []

    def keep(cycle, beat):
        cycles.append(cycle)
        packet.extend(beat.data.to_bytes(width, "little")[: beat.bytes])
        if beat.last:
            got.append((bytes(packet), beat.more, beat.join))
            packet.clear()
        return len(got) == len(expected)

    async def source_first(ctx):
        await send(ctx, dut.first, first, rng=rng, pause=pause)

    async def source_second(ctx):
        await send(ctx, dut.second, second, rng=rng, pause=pause)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, source_first, source_second, sink)
    for (data, more, join), (oracle, oracle_more, oracle_join) in zip(got, expected, strict=True):
        assert (data, more) == (oracle, oracle_more), f"seed {SEED}"
        assert oracle_join is None or join == oracle_join
    assert len(cycles) == total
    if not pause:
        assert cycles[-1] - cycles[0] == total - 1, "a bubble"
