"""The guard: whatever the host hands over, each frame has the beats that its descriptor says."""

import os
from dataclasses import dataclass
from random import Random

import pytest
from amaranth.sim import Simulator

from hdl.config import WIDTHS
from hdl.tx.guard import Guard

SEED = int(os.environ.get("SEED", "1"))


@dataclass
class Given:
    """One frame as the host hands it over: `data` may be longer or shorter than `length`."""

    length: int
    data: bytes
    gso_size: int = 0

    def beats(self, width: int) -> list[bytes]:
        """The data's beats, filled up with noise as memory would."""
        padded = self.data + b"\xa5" * (-len(self.data) % width if self.data else width)
        return [padded[at : at + width] for at in range(0, len(padded), width)]


def expected(frame: Given, width: int) -> list[tuple[bytes, bool, bool, bool]]:
    """(data, first, last, error) of each beat that leaves."""
    came, count = frame.beats(width), max(1, -(-frame.length // width))
    beats = []
    for k in range(count):
        data = came[k] if k < len(came) else bytes(width)
        inside = max(0, frame.length - k * width)
        last = k == count - 1
        error = k >= len(came) or (last and len(came) > count)
        beats.append((data[:inside].ljust(width, b"\0"), k == 0, last, error))
    return beats


def run(width: int, given: list[Given], *, pauses: Random | None = None) -> tuple[list, list[int]]:
    """Beats as (data, first, last, error, meta) and the cycles in which they left.

    Nothing may leave later than `latency` cycles behind the last one with `go`.
    """
    dut, seen, cycles = Guard(width=width), [], []

    async def drive(ctx):
        for frame in given:
            beats = frame.beats(width)
            for k, beat in enumerate(beats):
                while pauses and pauses.random() < 0.3:
                    ctx.set(dut.i.valid, 0)
                    await ctx.tick()
                # what stands in `meta` on later beats is not to be looked at
                meta = {"length": frame.length, "gso_size": frame.gso_size} if k == 0 else {"length": 3, "gso_size": 9}
                ctx.set(dut.i.valid, 1)
                ctx.set(
                    dut.i.payload,
                    {"data": int.from_bytes(beat, "little"), "last": k == len(beats) - 1, "meta": meta},
                )
                await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.latency + 1 + max(-(-f.length // width) for f in given))

    async def throttle(ctx):
        ctx.set(dut.go, 1)
        async for _ in ctx.tick():
            if pauses and pauses.random() < 0.2:
                ctx.set(dut.go, pauses.random() < 0.6)

    async def watch(ctx):
        cycle = since_go = 0
        async for _, _, go, valid, beat in ctx.tick().sample(dut.go, dut.o_valid, dut.o):
            cycle += 1
            assert not valid or since_go <= dut.latency, f"a beat {since_go} cycles after the last go"
            since_go = 0 if go else since_go + 1
            if valid:
                data = beat.data.to_bytes(width, "little")
                meta = (beat.meta.length, beat.meta.gso_size)
                seen.append((data, bool(beat.first), bool(beat.last), bool(beat.error), meta))
                cycles.append(cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(throttle, background=True)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return seen, cycles


def check(width: int, given: list[Given], seen: list) -> None:
    wanted = [(*beat, (frame.length, frame.gso_size)) for frame in given for beat in expected(frame, width)]
    for number, (got, want) in enumerate(zip(seen, wanted, strict=False)):
        assert got == want, f"beat {number}: {got}, not {want}"
    assert len(seen) == len(wanted)


def honest(random: Random, length: int) -> Given:
    return Given(length, random.randbytes(length), random.getrandbits(16))


@pytest.mark.parametrize("width", WIDTHS)
def test_every_length(width):
    """All lengths around the edges of beats, and of the largest frame, each right, one beat short and one long."""
    random = Random(width)
    given = []
    for length in range(4 * width + 2):
        given += [
            honest(random, length),
            Given(length, random.randbytes(max(0, length - width)), 1),
            Given(length, random.randbytes(length + width), 2),
        ]
    seen, _ = run(width, given)
    check(width, given, seen)


@pytest.mark.parametrize("width", WIDTHS)
def test_random_lies(width):
    random = Random(SEED * 100 + width)
    given = []
    for _ in range(120):
        frame = honest(random, random.choice((random.randint(0, 6 * width), random.randint(0, 300))))
        if random.random() < 0.4:
            frame.data = random.randbytes(random.randint(0, 400))
        given.append(frame)
    seen, _ = run(width, given, pauses=random)
    try:
        check(width, given, seen)
    except AssertionError as error:
        raise AssertionError(
            f"{error}\nrepeat: SEED={SEED} pytest tests/hdl/tx/test_guard.py -k random_lies"
        ) from error


@pytest.mark.parametrize("length", [1, 8, 9, 24])
def test_no_bubble(length):
    """Honest frames leave without a gap, even frames of one beat."""
    given = [honest(Random(k), length) for k in range(20)]
    seen, cycles = run(8, given)
    check(8, given, seen)
    assert cycles == list(range(cycles[0], cycles[0] + len(seen)))


def test_long_frame_that_ends_at_once():
    """A descriptor of 131,071 bytes with 5 bytes of data costs time, nothing else."""
    random = Random(1)
    given = [honest(random, 60), Given(131_071, b"short"), honest(random, 61)]
    seen, _ = run(64, given)
    check(64, given, seen)
