"""Two streams into one and one into two: nothing lost, packets whole, and both get their turns."""

import random

import pytest
from amaranth.lib import data

from hdl.stream.fair import FairMerge, FairSplit
from tests.hdl.stream.drive import receive, repeat, run, send

BEAT = data.StructLayout({"value": 12, "last": 1})
ENTRY = data.StructLayout({"value": 12})


def packets(source: int, count: int, rng: random.Random) -> list[list[int]]:
    numbers = iter(range(source << 11, (source << 11) + 4 * count))
    return [[next(numbers) for _ in range(rng.randint(1, 4))] for _ in range(count)]


@pytest.mark.parametrize("pauses", [(0.0, 0.0, 0.0), (0.6, 0.0, 0.3), (0.0, 0.0, 0.7), (0.3, 0.5, 0.0)])
@pytest.mark.parametrize("layout", [BEAT, ENTRY])
def test_merge(layout, pauses):
    rng = random.Random(str(pauses))
    sent = [packets(source, 60, rng) for source in range(2)]
    if layout is ENTRY:
        sent = [[[value] for packet in one for value in packet] for one in sent]
    dut, got = FairMerge(layout, layout, layout), []

    def beats(source):
        for packet in sent[source]:
            for at, value in enumerate(packet):
                yield {"value": value, **({"last": at == len(packet) - 1} if layout is BEAT else {})}

    async def a(ctx):
        await send(ctx, dut.a, beats(0), rng=rng, pause=pauses[0])

    async def b(ctx):
        await send(ctx, dut.b, beats(1), rng=rng, pause=pauses[1])

    total = sum(len(packet) for one in sent for packet in one)

    async def sink(ctx):
        def keep(_, payload):
            got.append(payload.value)
            return len(got) == total

        await receive(ctx, dut.o, keep, rng=rng, pause=pauses[2])

    run(dut, a, b, sink)
    at = 0
    left = [list(one) for one in sent]
    sources = []
    while at < total:
        source = got[at] >> 11
        packet = left[source].pop(0)
        assert got[at : at + len(packet)] == packet, repeat("tests/hdl/stream/test_fair.py", pauses)
        at += len(packet)
        sources.append(source)
    if pauses[:2] == (0.0, 0.0):
        both = min(len(one) for one in sent)
        assert sources[: 2 * both] == [sources[0], 1 - sources[0]] * both, "they do not take turns"


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.5, 0.0), (0.2, 0.8)])
def test_split(pauses):
    rng = random.Random(5)
    dut, got = FairSplit(16), {"a": [], "b": []}
    items = list(range(100))

    async def source(ctx):
        await send(ctx, dut.i, items, rng=rng)

    def sink(name, pause):
        async def take(ctx):
            taker = getattr(dut, name)
            for _ in range(600):
                ctx.set(taker.ready, rng.random() >= pause)
                _, _, valid, ready, value = await ctx.tick().sample(taker.valid, taker.ready, taker.payload)
                if valid and ready:
                    got[name].append(value)

        return take

    run(dut, source, sink("a", pauses[0]), sink("b", pauses[1]))
    assert sorted(got["a"] + got["b"]) == items
    assert got["a"] == sorted(got["a"])
    assert got["b"] == sorted(got["b"])
    if pauses == (0.0, 0.0):
        assert len(got["a"]) == len(got["b"])
