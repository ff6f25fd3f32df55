"""The scheduler's order is the model's; every vport has its own room; and it is fast enough for the smallest frames."""

import random
from collections import deque
from itertools import takewhile

import pytest

from hdl.registers.counters import MAXIMUM_FRAME
from hdl.tx.schedule import Descriptor, Schedule
from sim.model.fair import deficit_round_robin
from tests.hdl.stream.drive import receive, repeat, run

TEST = "tests/hdl/tx/test_schedule.py"


def descriptor(vport: int, number: int, length: int) -> dict:
    """`number`: of the vport's descriptors; the other fields are such that a mistake shows."""
    meta = {"vport": vport, "length": length, "gso_size": (7 * number + vport) % 65536, "accecn": number & 1}
    return {"meta": meta, "tag": number << 8 | vport}


def as_sent(payload) -> tuple[int, int]:
    """(vport, number) of a descriptor that came out whole."""
    tag = payload.tag
    vport, number = tag & 0xFF, tag >> 8
    wanted = Descriptor.const(descriptor(vport, number, payload.meta.length)).as_bits()
    assert payload.as_bits() == wanted, f"descriptor {number} of vport {vport} is not what went in"
    return vport, number


class Bench:
    """A host that offers each vport's descriptors in order, as its credits allow, and a card that takes them."""

    def __init__(self, waiting: dict[int, list[int]], *, quantum: int, places: int = 8, seed: int = 0):
        self.waiting, self.quantum, self.places, self.rng = waiting, quantum, places, random.Random(seed)
        self.dut = Schedule(places=places)
        self.order: list[tuple[int, int]] = []
        self.cycles: list[int] = []
        self.worst_wait = 0  # cycles that a descriptor with a credit waited for `i.ready`

    def run(self, *, pause: float, slots: dict[int, int] | None = None, pick: str = "first", in_pause: float = 0.0):
        """`pick`: which vport's descriptor comes next. Output begins when nothing more can come in."""
        dut, total = self.dut, sum(map(len, self.waiting.values()))
        credits = dict.fromkeys(self.waiting, self.places)
        left = {vport: deque(enumerate(lengths)) for vport, lengths in self.waiting.items()}
        filled = []

        async def source(ctx):
            ctx.set(dut.quantum, self.quantum)
            offered, waited = None, 0
            while len(self.order) < total:
                if offered is None and self.rng.random() >= in_pause:
                    able = [vport for vport in left if left[vport] and credits[vport]]
                    if able:
                        vport = able[0] if pick == "first" else self.rng.choice(able)
                        number, length = left[vport].popleft()
                        credits[vport] -= 1
                        offered, waited = descriptor(vport, number, length), 0
                        ctx.set(dut.i.payload, offered)
                    elif not in_pause:
                        filled.append(True)
                ctx.set(dut.i.valid, offered is not None)
                _, _, ready, freed, vport = await ctx.tick().sample(dut.i.ready, dut.freed, dut.freed_vport)
                if offered is not None:
                    waited += 1
                    self.worst_wait = max(self.worst_wait, waited)
                    if ready:
                        offered = None
                if freed:
                    credits[vport] += 1
                    assert credits[vport] <= self.places, f"vport {vport} has more room than places"

        async def sink(ctx):
            while not filled and not in_pause:
                await ctx.tick()

            def keep(cycle, payload):
                self.order.append(as_sent(payload))
                self.cycles.append(cycle)
                return len(self.order) == total

            await receive(ctx, dut.o, keep, rng=self.rng, pause=pause, limit=400_000)

        run(dut, source, sink)
        return self


@pytest.mark.parametrize("quantum", [1514, 9000, MAXIMUM_FRAME])
@pytest.mark.parametrize("seed", range(2))
def test_the_order_is_the_models(seed, quantum):
    """Whatever waits in the host behind the queues: they are filled up again before they are empty."""
    rng = random.Random(seed)
    sizes = [lambda: rng.randint(14, 128), lambda: rng.randint(60, 1514), lambda: rng.choice([60, 1514, MAXIMUM_FRAME])]
    vports = rng.sample(range(63), 6)
    waiting = {63: [14]}  # stands at the output while the others line up
    waiting |= {vport: [rng.choice(sizes)() for _ in range(rng.randint(1, 20))] for vport in vports}
    bench = Bench(waiting, quantum=quantum, seed=seed).run(pause=0.9)
    want = list(deficit_round_robin(waiting, quantum))
    assert bench.order == want, repeat(TEST, seed)


def test_by_hand():
    waiting = {0: [200, 750], 1: [500, 500], 2: [600], 5: [100, 100, 100]}
    bench = Bench(waiting, quantum=500).run(pause=0.5)
    assert bench.order == [(0, 0), (1, 0), (5, 0), (5, 1), (5, 2), (0, 1), (1, 1), (2, 0)]


@pytest.mark.parametrize("places", [4, 32])
@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.6, 0.0), (0.02, 0.7), (0.3, 0.3)])
def test_any_arrivals(places, pauses):
    """Nothing is lost, doubled or changed, and a vport's frames keep their order, whenever they come."""
    rng = random.Random(places)
    sizes = [14, 64, 1514, 65_000]
    waiting = {vport: [rng.choice(sizes) for _ in range(rng.randint(0, 20))] for vport in range(0, 64, 9)}
    bench = Bench(waiting, quantum=9000, places=places, seed=places)
    bench.run(pause=pauses[1], in_pause=pauses[0] or 1e-9, pick="any")
    assert sorted(bench.order) == sorted((v, n) for v, lengths in waiting.items() for n in range(len(lengths)))
    for vport, lengths in waiting.items():
        assert [n for v, n in bench.order if v == vport] == list(range(len(lengths))), repeat(TEST, places)


def test_an_honest_vport_keeps_its_share():
    """A vport of one frame at a time beside seven that flood with whatever they like."""
    waiting = {0: [1514] * 12} | {v: [64] * 300 if v % 2 else [65_000] * 3 for v in range(1, 8)}
    bench = Bench(waiting, quantum=1514).run(pause=0.5)
    sent = dict.fromkeys(waiting, 0)
    left = {vport: len(lengths) for vport, lengths in waiting.items()}
    for vport, number in takewhile(lambda _: left[0], bench.order):
        left[vport] -= 1
        sent[vport] += waiting[vport][number]
        assert sent[0] > sent[vport] - 1514 - MAXIMUM_FRAME
    assert sent[0] == 12 * 1514


def test_a_full_queue_blocks_nobody():
    """The output stands still: every vport can still fill its own queue, and waits for no more than two events."""
    waiting = {vport: [100] * 9 for vport in range(0, 64, 3)}
    bench = Bench(waiting, quantum=MAXIMUM_FRAME)
    bench.run(pause=0.0)
    assert bench.worst_wait <= 3
    assert len(bench.order) == 9 * 22


def test_throughput():
    """A descriptor a cycle of one vport, as long as its queue is not empty; of 64 with one each, a turn in 8 cycles."""
    bench = Bench({3: [64] * 300}, quantum=MAXIMUM_FRAME, places=32).run(pause=0.0)
    assert bench.cycles[-1] - bench.cycles[0] == 299
    bench = Bench({3: [64] * 300}, quantum=MAXIMUM_FRAME, places=8).run(pause=0.0)
    assert bench.cycles[-1] - bench.cycles[0] <= 1.6 * 299
    bench = Bench({vport: [64] for vport in range(64)}, quantum=MAXIMUM_FRAME).run(pause=0.0)
    assert bench.cycles[-1] - bench.cycles[0] <= 8 * 63


@pytest.mark.parametrize("places", [0, 3, 2])
def test_places(places):
    with pytest.raises(ValueError, match="power of two, at least 4"):
        Schedule(places=places)
