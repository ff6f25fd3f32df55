"""Cutter and summer: a plan and payload beats in, pieces with their sums out, every payload byte once into the ring."""

import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from hdl.registers.counters import DropReason
from hdl.stream.fifo import Fifo
from hdl.tx.cut import Cutter
from hdl.tx.layouts import CutPlan
from hdl.tx.sum import Summer

WIDTHS = (8, 16, 32, 64)


def ones_sum(data: bytes) -> int:
    """One's complement sum of big-endian words, straight from RFC 1071."""
    data += b"\0" * (len(data) & 1)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def same_sum(a: int, b: int) -> bool:
    """Equal as one's complement numbers (0 and 0xFFFF are both zero)."""
    return a % 0xFFFF == b % 0xFFFF


class Bench:
    """The two blocks and the queue between them."""

    def __init__(self, width: int):
        self.width = width
        self.m = Module()
        self.cut, self.sum = Cutter(width=width), Summer(width=width)
        self.queue = Fifo(shape=CutPlan, depth=64, margin=20)
        self.m.submodules += [self.cut, self.sum, self.queue]
        self.m.d.comb += [
            self.queue.write.eq(self.cut.cut_valid),
            self.queue.i.eq(self.cut.cut),
            self.cut.go.eq(self.queue.space),
        ]
        wiring.connect(self.m, self.queue.o, self.sum.cut)

    def run(self, frames: list[dict], seed: int, pause: float):
        """Feed frames; returns (pieces, sums, totals, ring bytes)."""
        draw = random.Random(seed)
        pieces, sums, totals, ring = [], [], [], []
        expected_pieces = sum(len(frame["pieces"]) for frame in frames)

        async def plans(ctx):
            for frame in frames:
                for name, value in frame["plan"].items():
                    ctx.set(getattr(self.cut.plan.payload, name), value)
                ctx.set(self.cut.plan.valid, 1)
                await ctx.tick().until(self.cut.plan.ready)
                ctx.set(self.cut.plan.valid, 0)
                while draw.random() < pause:
                    await ctx.tick()

        async def beats(ctx):
            for frame in frames:
                lane, data = frame["plan"]["lane"], frame["data"]
                if not data:
                    continue
                placed = b"\xee" * lane + data
                placed += b"\0" * (-len(placed) % self.width)
                for at in range(0, len(placed), self.width):
                    ctx.set(self.sum.beat.payload.data, int.from_bytes(placed[at : at + self.width], "little"))
                    ctx.set(self.sum.beat.payload.error, frame["error"] and at + self.width >= len(placed))
                    ctx.set(self.sum.beat.valid, 1)
                    await ctx.tick().until(self.sum.beat.ready)
                    ctx.set(self.sum.beat.valid, 0)
                    while draw.random() < pause:
                        await ctx.tick()

        async def goes(ctx):
            while True:
                ctx.set(self.sum.go, draw.random() >= pause)
                await ctx.tick()

        async def watch(ctx):
            quiet = 0
            async for _, _, piece_valid, piece, write, data, sum_valid, found, total_valid, total in ctx.tick().sample(
                self.cut.piece_valid, self.cut.piece, self.sum.write, self.sum.data,
                self.sum.sum_valid, self.sum.sum, self.sum.total_valid, self.sum.total,
            ):  # fmt: skip
                quiet += 1
                if piece_valid:
                    pieces.append(
                        {name: getattr(piece, name) for name in ("length", "first", "last", "offset", "keep")}
                    )
                    quiet = 0
                if write:
                    ring.append(int(data).to_bytes(self.width, "little"))
                    quiet = 0
                if sum_valid:
                    sums.append((found.covered, found.trailer, found.error))
                    quiet = 0
                if total_valid:
                    totals.append(total)
                if quiet > 200 and len(pieces) >= expected_pieces:
                    return

        simulator = Simulator(self.m)
        simulator.add_clock(1e-8)
        simulator.add_process(plans)
        simulator.add_process(beats)
        simulator.add_process(goes)
        simulator.add_testbench(watch)
        simulator.run()
        return pieces, sums, totals, b"".join(ring)


def random_frame(draw: random.Random, width: int) -> dict:
    """A frame's plan with its payload, and the pieces it must give."""
    lane = 2 * draw.randrange(width // 2)
    payload = draw.choice([0, 1, draw.randrange(1, 40), draw.randrange(1, 900)])
    dropped = draw.random() < 0.15
    trailer = draw.randrange(min(payload, 12) + 1) if draw.random() < 0.3 else 0
    first = draw.choice([payload or 1, draw.randrange(1, 80), draw.randrange(60, 300)])
    rest = draw.randrange(1, 90) if draw.random() < 0.5 else first
    cut: list = []
    left = payload
    while True:
        size = min(left, rest if cut else first)
        if dropped:
            size = left
        cut.append(size)
        left -= size
        if not left:
            break
    plan = {
        "reason": int(DropReason.MTU) if dropped else 0,
        "payload": payload,
        "covered": payload - trailer,
        "lane": lane,
        "single": dropped or payload <= first,
        "first": first,
        "rest": rest,
        "fragmented": 1,
        "segmented": 0,
        "kept_words": 27,
        "whole_sum": not dropped and payload > first,
    }
    return {
        "plan": plan,
        "data": draw.randbytes(payload),
        "pieces": cut,
        "trailer": trailer,
        "error": draw.random() < 0.1,
    }


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("width", WIDTHS)
def test_pieces_sums_and_ring(width: int, pause: float) -> None:
    """Pieces, sums, whole-frame totals and the bytes in the ring are right for random frames."""
    seed = 1000 * width + int(10 * pause)
    draw = random.Random(seed)
    frames = [random_frame(draw, width) for _ in range(60 if width < 32 else 40)]
    pieces, sums, totals, ring = Bench(width).run(frames, seed, pause)
    again = f"repeat with: pytest tests/hdl/tx/test_cut_and_sum.py -k 'ring and {width}-{pause}' (seed {seed})"

    want_sums, want_totals, want_ring, at = [], [], b"", 0
    for frame in frames:
        plan, data = frame["plan"], frame["data"]
        offset = 0
        for number, size in enumerate(frame["pieces"]):
            piece = pieces[at]
            at += 1
            last = number == len(frame["pieces"]) - 1
            if size:
                assert piece["length"] == size, again
            assert (piece["first"], piece["last"]) == (number == 0, last), again
            assert piece["offset"] == (0 if number == 0 else 54 + 18 + offset), again
            assert piece["keep"] == ((plan["lane"] + offset + size) % width != 0 and not last), again
            if size and not plan["reason"]:
                covered = max(0, min(size, plan["covered"] - offset))
                part = data[offset : offset + size]
                error = (
                    frame["error"] and plan["lane"] + offset + size > (plan["lane"] + len(data) - 1) // width * width
                )
                want_sums.append((ones_sum(part[:covered]), ones_sum(b"\0" * covered + part[covered:]), error))
            offset += size
        if plan["whole_sum"]:
            want_totals.append(ones_sum(data[: plan["covered"]]))
        if data and not plan["reason"]:
            placed = b"\xee" * plan["lane"] + data
            want_ring += placed + b"\0" * (-len(placed) % width)
    assert at == len(pieces), again
    assert len(sums) == len(want_sums), again
    for got, want in zip(sums, want_sums, strict=True):
        assert same_sum(got[0], want[0]) and same_sum(got[1], want[1]) and got[2] == want[2], again
    assert len(totals) == len(want_totals) and all(map(same_sum, totals, want_totals)), again
    assert ring == want_ring, again


@pytest.mark.parametrize("width", WIDTHS)
def test_one_piece_a_cycle(width: int) -> None:
    """Frames of one beat pass at one a cycle."""
    frame = {"lane": 0, "payload": 6, "covered": 6, "single": 1, "first": 6, "rest": 6, "kept_words": 27}
    bench = Bench(width)
    found = []

    async def plans(ctx):
        for name, value in frame.items():
            ctx.set(getattr(bench.cut.plan.payload, name), value)
        ctx.set(bench.cut.plan.valid, 1)
        ctx.set(bench.sum.beat.valid, 1)
        ctx.set(bench.sum.go, 1)

    async def watch(ctx):
        for _ in range(300):
            *_, valid = await ctx.tick().sample(bench.sum.sum_valid)
            found.append(valid)

    simulator = Simulator(bench.m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(plans)
    simulator.add_testbench(watch)
    simulator.run()
    assert sum(found[100:]) == 200
