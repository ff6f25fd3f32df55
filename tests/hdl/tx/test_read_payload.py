"""Payloads leave the ring byte for byte, in their place, and their rows are given back."""

import random

import pytest

from hdl.config import NicConfig
from hdl.tx.read_payload import PayloadRead
from tests.hdl.stream.drive import beats, receive, repeat, run, send
from tests.hdl.tx.packets import PartKeeper, fill, random_traffic, send_behind

SEED = 13


def config(width):
    return NicConfig(name="test", width=width, clock_hz=200_000_000, ring_bytes=16384)


@pytest.mark.parametrize("width, pause", [(8, 0.0), (16, 0.3), (32, 0.3), (64, 0.0), (64, 0.3)])
def test_payload(width, pause):
    rng = random.Random(SEED + width)
    traffic = random_traffic(rng, width, 60)
    # large ones, so that the ring goes round
    for _ in range(3):
        traffic.frame(
            rng,
            outer_words=0,
            header_words=rng.randint(7, 40),
            strip=False,
            pieces=[8900] if width > 8 else [4001, 3999],
        )
    dut = PayloadRead(config(width), margin=4)
    keep = PartKeeper(width, traffic.payload_parts)
    written = [0]
    rows = beats(bytes(traffic.payload_bytes), width)
    assert len(rows) > 16384 // width

    async def source(ctx):
        await send_behind(ctx, dut.record, traffic.payload, traffic.payload_until, written, rng=rng, pause=pause)

    async def ring(ctx):
        await fill(ctx, write=dut.write, i=dut.i, space=dut.space, rows=rows, written=written)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, source, ring, sink)
    for (offset, part), (more, _, size) in zip(traffic.payload_parts, keep.ends, strict=True):
        hint = repeat("tests/hdl/tx/test_read_payload.py", SEED)
        assert (more, size) == (0, (offset + len(part)) % width or width), hint


@pytest.mark.parametrize(
    "width, lane, offset, length",
    [(8, 6, 6, 18), (8, 3, 1, 40), (16, 3, 9, 90), (32, 9, 3, 90), (64, 42, 42, 18), (64, 10, 50, 14)],
)
def test_throughput(width, lane, offset, length):
    count = 80
    rng = random.Random(SEED)
    record = {"lane": lane, "offset": offset, "length": length}
    rows_each = -(-(lane + length) // width)
    out_each = -(-(offset + length) // width)
    data = rng.randbytes(rows_each * width)
    dut = PayloadRead(config(width), margin=4)
    keep = PartKeeper(width, [(offset, data[lane : lane + length])] * count)
    written = [0]

    async def source(ctx):
        while written[0] < 40 * rows_each:
            await ctx.tick()
        await send(ctx, dut.record, [record] * count, rng=rng)

    async def ring(ctx):
        await fill(ctx, write=dut.write, i=dut.i, space=dut.space, rows=beats(data, width) * count, written=written)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng)

    run(dut, source, ring, sink)
    assert keep.cycles[-1] - keep.cycles[0] <= count * max(out_each, rows_each)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="margin is 0; it must be between 1 and rows - 1 = 2047"):
        PayloadRead(config(8), margin=0)
