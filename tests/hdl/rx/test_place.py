"""What records ask for leaves the ring byte for byte, with its address, and rows are given back."""

import itertools
import random

import pytest

from hdl.config import NicConfig
from hdl.rx.place import Place
from tests.hdl.stream.drive import beats, receive, repeat, run, send

SEED = 31


def config(width):
    return NicConfig(name="test", width=width, clock_hz=200_000_000)


def packets(rng, width, count):
    """Packets of random bytes, and one or a few records for each: (rows, records, bytes wanted of each)."""
    row, made = 0, []
    for number in range(count):
        data = rng.randbytes(rng.choice([rng.randint(14, 200), rng.randint(60, 1600)]))
        rows = beats(data, width)
        cuts = sorted(rng.sample(range(len(data) + 1), min(len(data), rng.choice([2, 2, 3, 4]))))
        records, wanted = [], []
        for index, (at, end) in enumerate(itertools.pairwise(cuts)):
            last, none = index == len(cuts) - 2, rng.random() < 0.2
            records.append(
                {
                    "last": last,
                    "row": (row + at // width) & 0xFFFF,
                    "lane": at % width,
                    "length": end - at,
                    "discard": none,
                    "release_row": row + (len(rows) if last else at // width),
                    "handle": number,
                    "offset": rng.randrange(40_000),
                }
            )
            wanted.append(b"" if none else data[at:end])
        row += len(rows)
        made.append((rows, records, wanted))
    return made


@pytest.mark.parametrize("width, pause", [(8, 0.0), (16, 0.3), (64, 0.0), (64, 0.3)])
def test_place(width, pause):
    rng = random.Random(SEED + width)
    traffic = packets(rng, width, 60)
    dut, hint = Place(config(width), margin=8), repeat("tests/hdl/rx/test_place.py", SEED)
    written = [0]
    want = [
        (record["handle"], record["offset"], data)
        for _, records, datas in traffic
        for record, data in zip(records, datas, strict=True)
        if data
    ]
    got, open_bytes, start = [], bytearray(), [None]

    async def ring(ctx):
        for rows, _, _ in traffic:
            for row in rows:
                while not ctx.get(dut.space):
                    await ctx.tick()
                ctx.set(dut.write, 1)
                ctx.set(dut.i, row)
                await ctx.tick()
                ctx.set(dut.write, 0)
                written[0] += 1

    async def source(ctx):
        needed = 0
        for number, (rows, records, _) in enumerate(traffic):
            needed += len(rows)
            while written[0] < needed:
                await ctx.tick()
            ctx.set(dut.stt, number % 2)
            await send(ctx, dut.record, records, rng=rng, pause=pause)

    async def sink(ctx):
        def keep(_, beat):
            at = (beat.handle, beat.offset - len(open_bytes))
            start[0] = at if start[0] is None else start[0]
            assert at == start[0], hint
            open_bytes.extend(beat.data.to_bytes(width, "little")[: beat.bytes])
            assert beat.last or beat.bytes == width, hint
            if beat.last:
                got.append((*start[0], bytes(open_bytes)))
                open_bytes.clear()
                start[0] = None
            return len(got) == len(want)

        await receive(ctx, dut.o, keep, rng=rng, pause=pause)
        await ctx.tick().repeat(60)
        for engine, done in enumerate((dut.done_tcp, dut.done_stt)):
            expected = sum(len(records) for _, records, _ in traffic[engine::2])
            assert ctx.get(done) == expected, hint

    run(dut, ring, source, sink)
    assert got == want, hint
