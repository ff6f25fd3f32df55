"""Driving and watching streams in Amaranth's simulator."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from amaranth.sim import Simulator


def repeat(test: str, seed: object) -> str:
    """What a failure prints: the command that repeats it."""
    return f"repeat with: pytest {test} (seed {seed})"


async def send(ctx: Any, stream: Any, items: Iterable[Any], *, rng: random.Random, pause: float = 0.0) -> None:
    """Put items on a stream, each after a random pause (`pause`: the share of idle cycles)."""
    for item in items:
        while rng.random() < pause:
            await ctx.tick()
        ctx.set(stream.payload, item)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)


async def receive(
    ctx: Any,
    stream: Any,
    keep: Callable[[int, Any], bool],
    *,
    rng: random.Random,
    pause: float = 0.0,
    limit: int = 20_000,
) -> None:
    """Take items from a stream and hand (cycle, item) to `keep` until that says it has enough.

    Checks the rule of streams too: a payload that is offered stays until it is taken.
    """
    offered = None
    cycle = 0
    while True:
        ready = rng.random() >= pause
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        raw = payload.as_bits() if hasattr(payload, "as_bits") else payload
        assert offered is None or (valid and offered == raw), f"cycle {cycle}: an offered payload changed"
        offered = raw if valid and not ready else None
        if valid and ready and keep(cycle, payload):
            ctx.set(stream.ready, 0)
            return
        cycle += 1
        assert cycle < limit, f"nothing more after {limit} cycles"


def run(dut: Any, *testbenches: Any) -> None:
    """Simulate `dut` until every testbench has ended."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


def beats(data: bytes, width: int) -> list[int]:
    """Bytes as rows of `width` bytes, byte 0 lowest; the last is filled up with zeros."""
    return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]
