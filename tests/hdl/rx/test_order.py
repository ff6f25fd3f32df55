"""Records of two engines leave in the order of their packets."""

import random

from amaranth import ClockDomain, Module

from hdl.rx.order import Order
from tests.hdl.stream.drive import repeat, run, send

SEED = 17


def test_order():
    rng, dut = random.Random(SEED), Order()
    order, streams, want = [], ([], []), []
    for number in range(80):
        engine = rng.randrange(2)
        order.append(engine)
        count = rng.randint(1, 4) if engine else 1
        for index in range(count):
            streams[engine].append({"handle": number, "length": index, "last": index == count - 1})
            want.append((engine, number, index))
    got = []

    def sender(stream, items, seed):
        async def source(ctx):
            await send(ctx, stream, items, rng=random.Random(seed), pause=0.4)

        return source

    async def sink(ctx):
        pauses = random.Random(SEED + 9)
        while len(got) < len(want):
            ctx.set(dut.o.ready, pauses.random() < 0.6)
            *_, ready, valid, record, stt = await ctx.tick().sample(
                dut.o.ready, dut.o.valid, dut.o.payload, dut.from_stt
            )
            if ready and valid:
                got.append((stt, record.handle, record.length))

    top = Module()  # the block itself has no registers
    top.domains.sync = ClockDomain()
    top.submodules.dut = dut
    run(
        top,
        sender(dut.order, order, SEED + 1),
        sender(dut.stt, streams[1], SEED + 2),
        sender(dut.tcp, streams[0], SEED + 3),
        sink,
    )
    assert got == want, repeat("tests/hdl/rx/test_order.py", SEED)
