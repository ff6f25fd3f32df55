"""Inner headers leave patched, without the tag that is taken out, and in their place."""

import random

import pytest

from hdl.config import NicConfig
from hdl.tx.replay_header import HeaderReplay
from tests.hdl.stream.drive import receive, repeat, run, send
from tests.hdl.tx.packets import PartKeeper, Traffic, fill, random_traffic, send_behind

SEED = 12


@pytest.mark.parametrize("width, pause", [(8, 0.0), (8, 0.3), (16, 0.3), (32, 0.3), (64, 0.0), (64, 0.3)])
def test_header(width, pause):
    rng = random.Random(SEED + width)
    traffic = random_traffic(rng, width, 60)
    small = NicConfig(name="test", width=width, clock_hz=200_000_000, header_rows=4096 // width)
    dut = HeaderReplay(small, margin=4)
    keep = PartKeeper(width, [(offset, part) for offset, part, _ in traffic.header_parts])
    written = [0]
    rows = traffic.header_rows
    assert len(rows) > 4096 // width, "the ring goes round"

    async def source(ctx):
        await send_behind(ctx, dut.record, traffic.header, traffic.header_until, written, rng=rng, pause=pause)

    async def ring(ctx):
        await fill(ctx, write=dut.write, i=dut.i, space=dut.space, rows=rows, written=written)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, source, ring, sink)
    for (offset, part, more), (got_more, join, size) in zip(traffic.header_parts, keep.ends, strict=True):
        end = (offset + len(part)) % width
        hint = repeat("tests/hdl/tx/test_replay_header.py", SEED)
        assert (got_more, join) == (more, not part or end != 0), hint
        if not more:
            assert size == (end or width), hint


@pytest.mark.parametrize(
    "width, words, offset, strip",
    [
        (8, 7, 0, 0),
        (8, 27, 21, 0),
        (16, 40, 0, 0),
        (32, 40, 3, 0),
        (64, 21, 0, 0),
        (64, 27, 25, 0),
        (64, 29, 20, 1),
    ],
)
def test_throughput(width, words, offset, strip):
    """One beat a cycle, and one packet a cycle where packets are that short."""
    count = 80
    rng = random.Random(SEED)
    traffic = Traffic(width)
    traffic.frame(rng, outer_words=0, header_words=words, strip=bool(strip), pieces=[])
    record = {**traffic.header[0], "offset": offset, "release": 0}
    # what is emitted does not depend on its place
    record["values"] = traffic.header[0]["values"]
    keep = PartKeeper(width, [(2 * offset, traffic.header_parts[0][1])] * count)
    dut = HeaderReplay(NicConfig(name="test", width=width, clock_hz=200_000_000), margin=4)

    async def source(ctx):
        await fill(ctx, write=dut.write, i=dut.i, space=dut.space, rows=traffic.header_rows, written=[0])
        await send(ctx, dut.record, [record] * count, rng=rng)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng)

    run(dut, source, sink)
    out = -(-(2 * offset % width + 2 * words - 4 * strip) // width)
    rows = -(-2 * words // width)
    assert keep.cycles[-1] - keep.cycles[0] <= count * max(out, rows)


def test_space():
    """`space` falls with the rows that are left, and rises when a frame is released, discarded or not."""
    dut = HeaderReplay(NicConfig(name="test", header_rows=512), margin=16)

    async def check(ctx):
        await ctx.tick().repeat(3)
        assert ctx.get(dut.space)
        ctx.set(dut.write, 1)
        await ctx.tick().repeat(496)
        ctx.set(dut.write, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.space), "16 rows are free"
        ctx.set(dut.write, 1)
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.space), "15 rows are free"
        for release_row, discard in ((4, 0), (8, 1)):
            record = {"words": 7, "release": 1, "release_row": release_row, "discard": discard}
            ctx.set(dut.record.payload, record)
            ctx.set(dut.record.valid, 1)
            await ctx.tick().until(dut.record.ready)
            ctx.set(dut.record.valid, 0)
            await ctx.tick().repeat(20)
            assert ctx.get(dut.space)
            ctx.set(dut.write, 1)
            await ctx.tick().repeat(4)
            ctx.set(dut.write, 0)
            await ctx.tick().repeat(4)
            assert not ctx.get(dut.space)

    run(dut, check)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="margin is 512; it must be between 1 and rows - 1 = 511"):
        HeaderReplay(NicConfig(name="test"), margin=512)
