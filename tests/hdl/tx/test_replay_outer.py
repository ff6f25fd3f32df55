"""Templates leave patched and masked."""

import random

import pytest

from hdl.config import NicConfig
from hdl.tx.replay_outer import OuterReplay
from tests.hdl.stream.drive import receive, repeat, run, send
from tests.hdl.tx.packets import PartKeeper, random_traffic

SEED = 11


def config(width):
    return NicConfig(name="test", width=width, clock_hz=200_000_000)


async def load(ctx, dut, traffic, width):
    """Write all templates."""
    for profile, template in traffic.templates.items():
        for beat, row in enumerate(template.rows(width)):
            ctx.set(dut.write, 1)
            ctx.set(dut.row, profile * (128 // width) + beat)
            ctx.set(dut.i.as_value(), row)
            await ctx.tick()
    ctx.set(dut.write, 0)


@pytest.mark.parametrize("width, pause", [(8, 0.0), (8, 0.3), (16, 0.3), (32, 0.3), (64, 0.0), (64, 0.3)])
def test_outer(width, pause):
    rng = random.Random(SEED + width)
    traffic = random_traffic(rng, width, 30)
    dut = OuterReplay(config(width))
    keep = PartKeeper(width, [(0, part) for part in traffic.outer_parts])

    async def source(ctx):
        await load(ctx, dut, traffic, width)
        await send(ctx, dut.record, traffic.outer, rng=rng, pause=pause)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, source, sink)
    for part, (more, join, _) in zip(traffic.outer_parts, keep.ends, strict=True):
        assert (more, join) == (1, not part or len(part) % width != 0), repeat(
            "tests/hdl/tx/test_replay_outer.py", SEED
        )


@pytest.mark.parametrize("width, cycles", [(8, 2), (64, 1)])
def test_bare_packets_keep_up(width, cycles):
    """At 64 bytes one a cycle; at 8 one in two, where no packet has fewer than two beats."""
    dut = OuterReplay(config(width))
    keep = PartKeeper(width, [(0, b"")] * 100)

    async def source(ctx):
        await send(ctx, dut.record, [{"words": 0}] * 100, rng=random.Random(0))

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=random.Random(0))

    run(dut, source, sink)
    assert keep.cycles[-1] - keep.cycles[0] <= 100 * cycles


@pytest.mark.parametrize("width, words, cycles", [(8, 21, 8), (8, 64, 16), (16, 21, 4), (64, 21, 1)])
def test_tunnelled_packets_keep_up(width, words, cycles):
    """A template takes its beats, or the cycles that its values take to be written: fewer than a packet's beats."""
    count = 60
    traffic = random_traffic(random.Random(SEED), width, 1)
    template = traffic.templates[0]
    template.codes = [0] * 64
    dut = OuterReplay(config(width))
    keep = PartKeeper(width, [(0, template.data[: 2 * words])] * count)

    async def source(ctx):
        await load(ctx, dut, traffic, width)
        await send(ctx, dut.record, [{"words": words}] * count, rng=random.Random(0))

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=random.Random(0))

    run(dut, source, sink)
    assert keep.cycles[-1] - keep.cycles[0] <= count * cycles


@pytest.mark.parametrize("width, code", [(8, 3), (8, 28), (8, 31), (16, 28), (16, 31), (64, 31)])
def test_a_value_is_there_in_time(width, code):
    """The first beat of a packet that comes alone may want any value."""
    rng = random.Random(SEED)
    traffic = random_traffic(rng, width, 0)
    traffic.templates[0].codes = [0, 0, 0, code] + [0] * 60
    dut = OuterReplay(config(width))
    for _ in range(3):
        traffic.frame(rng, outer_words=21, header_words=7, strip=False, pieces=[], profile=0)
    keep = PartKeeper(width, [(0, part) for part in traffic.outer_parts])

    async def source(ctx):
        await load(ctx, dut, traffic, width)
        for record in traffic.outer:
            await send(ctx, dut.record, [record], rng=rng)
            await ctx.tick().repeat(40)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng)

    run(dut, source, sink)
