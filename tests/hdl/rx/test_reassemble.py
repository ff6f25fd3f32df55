"""STT frames in host memory, byte for byte, and what is said of them: against the model, packet by packet."""

import os
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hdl.registers.receive import RxReason
from hdl.rx.layouts import SttChunk, SttFacts
from hdl.rx.reassemble import Reassemble
from hdl.rx.reassemble.reassemble import SWEEP_CYCLES
from tests.hdl.rx.lookups import record
from tests.hdl.rx.stt_traffic import Oracle, Packet, Traffic, patched, stt_facts
from tests.hdl.stream.drive import repeat, send

SEED = int(os.environ.get("SEED", "1"))
FRAMES = int(os.environ.get("FRAMES", "40"))
TEST = "tests/hdl/rx/test_reassemble.py"
PLACE_MARGIN, COMPLETION_MARGIN = 24, 12  # of the FIFOs behind


class Card:
    """A block in the middle of its path: queues in front, FIFOs with room behind, host memory."""

    def __init__(self, width: int, slots: int, quota: int, *, buffers: int = 1 << 16) -> None:
        self.dut = Reassemble(width, slots, quota)
        self.width, self.buffers = width, buffers
        self.places: list[tuple[int, Any]] = []  # cycle, record
        self.completions: list[tuple[int, Any]] = []
        self.taken: list[int] = []  # cycle of each chunk
        self.cycle = 0
        self.chunks: list[tuple[Packet, dict[str, Any]]] = []

    def run(
        self,
        packets: list[Packet],
        rng: Random,
        *,
        pause: float = 0.0,
        stall: float = 0.0,
        facts_delay: int = 40,
        jump: int = 0,
        timeout: int = 0xFFFF,
    ) -> None:
        """Send all, then wait; `jump`: ticks that pass then."""
        dut = self.dut
        self.chunks = [(packet, chunk) for packet in packets for chunk in packet.chunks(self.width)]
        items = [record(SttChunk, chunk, rng) for _, chunk in self.chunks]
        zeros = [packet for packet in packets if packet.start == 0]
        facts = [record(SttFacts, stt_facts(packet, rng) if self.sound(packet) else {}, rng) for packet in zeros]
        last = {id(packet): number for number, (packet, _) in enumerate(self.chunks)}
        due = [last[id(packet)] for packet in zeros]
        finished = False

        async def ask(ctx: Any) -> None:
            ctx.set(dut.timeout, timeout)
            ctx.set(dut.now, 65_000)
            await send(ctx, dut.chunk, items, rng=rng, pause=pause)

        async def tell(ctx: Any) -> None:
            """Facts come some time behind their chunks have been offered."""
            for number, one in zip(due, facts, strict=True):
                while facts_delay and not (len(self.taken) > number and self.cycle >= self.taken[number] + facts_delay):
                    await ctx.tick()
                while not ctx.get(dut.facts_space):
                    await ctx.tick()
                ctx.set(dut.facts, one)
                ctx.set(dut.facts_valid, 1)
                await ctx.tick()
                ctx.set(dut.facts_valid, 0)

        async def give(ctx: Any) -> None:
            handle = 0
            while True:
                ctx.set(dut.buffer.payload, handle)
                ctx.set(dut.buffer.valid, handle < self.buffers)
                _, _, taken = await ctx.tick().sample(dut.buffer.valid & dut.buffer.ready)
                handle += taken

        async def watch(ctx: Any) -> None:
            nonlocal finished
            quiet, jumped = 0, not jump
            go_place = go_completion = 1
            since_place = since_completion = 0
            while not (quiet > 300 and jumped):
                if quiet > 300:
                    ctx.set(dut.now, 65_000 + jump & 0xFFFF)
                    jumped, quiet = True, -SWEEP_CYCLES * dut.slots
                if rng.random() < 0.1:
                    go_place, go_completion = rng.random() >= stall, rng.random() >= stall
                    ctx.set(dut.place_go, go_place)
                    ctx.set(dut.completion_go, go_completion)
                values = (
                    dut.chunk.valid & dut.chunk.ready,
                    dut.place_valid,
                    dut.place,
                    dut.completion_valid,
                    dut.completion,
                )
                _, _, chunk, placed, place, completed, completion = await ctx.tick().sample(*values)
                if chunk:
                    self.taken.append(self.cycle)
                if placed:
                    self.places.append((self.cycle, place))
                if completed:
                    self.completions.append((self.cycle, completion))
                since_place = 0 if go_place else since_place + placed
                since_completion = 0 if go_completion else since_completion + completed
                assert since_place < PLACE_MARGIN - 4 and since_completion < COMPLETION_MARGIN - 4
                # once time has jumped, every slot has its turn, whatever comes of the others
                quiet = min(quiet, 0) if placed or completed or len(self.taken) < len(items) else quiet
                quiet += 1
                self.cycle += 1
                assert self.cycle < 200_000
            self.held, self.open = ctx.get(dut.held), ctx.get(dut.open)

        simulator = Simulator(dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(watch)
        simulator.add_testbench(ask)
        simulator.add_testbench(tell, background=True)
        simulator.add_testbench(give, background=True)
        simulator.run()

    @staticmethod
    def sound(packet: Packet) -> bool:
        """Its facts say what is in it."""
        return not packet.verdict and not packet.reason

    def check(self, oracle: Oracle) -> None:
        """Every placement and every completion."""
        memory: dict[int, bytearray] = {}
        done = 0

        def place_until(number: int) -> None:
            nonlocal done
            while done < number:
                self.copy(memory, done)
                done += 1

        assert len(self.places) == len(self.chunks)
        singles: Counter[int] = Counter()
        expected = dict(oracle.outcomes)
        places_before = 0
        for _, one in self.completions:
            assert one["stt"] and not one["slow"]
            wraps = (one["placed"] - places_before) & 0xFFFF
            places_before += wraps
            place_until(places_before)
            if not one["claimed"]:
                assert one["packets"] == 1
                singles[one["reason"]] += 1
                continue
            want = expected.pop(one["handle"])
            got = one["reason"], one["packets"]
            assert got == (want.reason, want.packets), f"buffer {one['handle']}: {got} is not {want}"
            if want.reason:
                continue
            data = bytes(memory[one["handle"]][: one["length"]])
            assert patched(data, one["patches"]) == want.frame
            assert {name: one[name] for name in want.values} == want.values
        assert singles == oracle.singles
        assert not expected, f"{len(expected)} completions are missing"
        assert (self.held, self.open) == (oracle.held, len(oracle.reassembler.open))

    def copy(self, memory: dict[int, bytearray], number: int) -> None:
        (packet, chunk), (_, place) = self.chunks[number], self.places[number]
        assert (place["last"], place["release_row"]) == (chunk["last"], chunk["release_row"])
        if place["discard"]:
            return
        at = ((place["row"] - packet.row) & 0xFFFF) * self.width + place["lane"] - packet.lead
        data = packet.data[at : at + place["length"]]
        assert at >= 0 and len(data) == place["length"]
        target = memory.setdefault(place["handle"], bytearray(1 << 16))
        target[place["offset"] : place["offset"] + len(data)] = data


def oracle_for(card: Card, packets: list[Packet], **more: Any) -> Oracle:
    oracle = Oracle(slots=card.dut.slots, quota=card.dut.quota_init, buffers=card.buffers, **more)
    for packet in packets:
        oracle.add(packet)
    return oracle


FULL = pytest.mark.full
KINDS = [
    *((8, "calm"), (8, "crowded"), (16, "crowded"), (32, "stalled"), (64, "crowded"), (64, "stalled")),
    *(pytest.param(*one, marks=FULL) for one in ((8, "stalled"), (16, "calm"), (16, "stalled"))),
    *(pytest.param(*one, marks=FULL) for one in ((32, "calm"), (32, "crowded"), (64, "calm"))),
]


@pytest.mark.parametrize(("width", "kind"), KINDS)
def test_random(width: int, kind: str) -> None:
    """Frames in any order with lies and losses; more at a time than there are slots; with pauses on every side."""
    seed = SEED * 1000 + width + len(kind)
    rng = Random(seed)
    traffic = Traffic(rng, width, largest=700)
    open_frames = {"calm": 3, "crowded": 14, "stalled": 6}[kind]
    packets = traffic.packets(FRAMES, open_frames=open_frames)
    card = Card(width, 8, 3)
    stalled = kind == "stalled"
    card.run(
        packets,
        rng,
        pause=0.4 if stalled else 0.0,
        stall=0.4 if stalled else 0.0,
        facts_delay=rng.choice((0, 10, 60)) if kind == "calm" else 40,
    )
    oracle = oracle_for(card, packets)
    card.check(oracle)
    wanted = {"crowded": RxReason.STT_EVICTED}.get(kind, 0)
    assert sum(one.reason == wanted for one in oracle.outcomes.values()) > FRAMES // 8, repeat(TEST, SEED)


def test_timeout() -> None:
    """What is open for too long is given up, with its packets and its buffer; a trickle keeps no frame alive."""
    rng = Random(SEED)
    traffic = Traffic(rng, 8)
    packets = traffic.packets(12, open_frames=12, losses=0.5)
    card = Card(8, 16, 16)
    card.run(packets, rng, timeout=900, jump=900)
    oracle = oracle_for(card, packets, timeout=900)
    assert len(oracle.reassembler.open) > 3
    oracle.expire(900)
    card.check(oracle)
    assert card.held == 0


def test_age_just_below_the_timeout() -> None:
    rng = Random(SEED)
    traffic = Traffic(rng, 64)
    packets = traffic.packets(12, open_frames=12, losses=0.5)
    card = Card(64, 16, 16)
    card.run(packets, rng, timeout=900, jump=899)
    card.check(oracle_for(card, packets))
    assert card.held > 3


@pytest.mark.parametrize("width", [8])
def test_no_buffer(width: int) -> None:
    """Without a buffer no frame begins, and those that have one go on."""
    rng = Random(SEED)
    packets = Traffic(rng, width, largest=300).packets(30, open_frames=4)
    card = Card(width, 8, 8, buffers=11)
    card.run(packets, rng)
    oracle = oracle_for(card, packets)
    card.check(oracle)
    assert oracle.singles[RxReason.NO_BUFFER] > 5


@pytest.mark.parametrize("width", [8, 32])
def test_holes(width: int) -> None:
    """A frame takes as many holes as it may have, no more, and is whole all the same."""
    rng = Random(SEED)
    traffic = Traffic(rng, width, largest=1500)
    frame = traffic.frame()
    while len(frame.data) < 500 or frame.reason:
        frame = traffic.frame()
    size = len(frame.data)
    edges = [0, *range(20, 20 + 8 * 58, 8), size]
    pieces = [(edges[n], edges[n + 1]) for n in range(len(edges) - 1)]
    odd, even = pieces[1::2], pieces[::2]
    rng.shuffle(odd)
    rng.shuffle(even)
    packets = [traffic.packet(frame, *piece) for piece in [*odd, *even, *odd]]
    card = Card(width, 8, 8)
    card.run(packets, rng)
    oracle = oracle_for(card, packets)
    assert oracle.singles[RxReason.STT_HOLES] > 2
    card.check(oracle)
    assert [one["reason"] for _, one in card.completions if one["claimed"]] == [0]


@pytest.mark.parametrize("width", [pytest.param(8, marks=FULL), 64])
def test_largest(width: int) -> None:
    """64 KB in pieces of 1,448 bytes, from the last to the first."""
    rng = Random(SEED)
    traffic = Traffic(rng, width)
    while True:
        traffic.inner = lambda: rng.randbytes(65_535 - 18)  # type: ignore[method-assign]
        frame = traffic.frame()
        if not frame.reason:
            break
    edges = [*range(0, 65_535, 1448), 65_535]
    packets = [traffic.packet(frame, *edges[n : n + 2]) for n in reversed(range(len(edges) - 1))]
    for number, packet in enumerate(packets):
        packet.row = number * 300
    card = Card(width, 8, 8)
    card.run(packets, rng)
    card.check(oracle_for(card, packets))
    assert card.completions[-1][1]["length"] == 65_517


@pytest.mark.parametrize("width", [8, 64])
def test_same_tag(width: int) -> None:
    """Two frames of one class with one tag: the second takes the first one's place, and no byte of it."""
    rng = Random(SEED)
    traffic = Traffic(rng, width, largest=300)
    frames = [traffic.frame() for _ in range(2)]
    for number, frame in enumerate(frames):
        # the two halves of an identifier go into the same bits of the tag
        frame.key = (*frames[0].key[:3], 0x20 if number else 0x1_0000)
        frame.data, frame.reason = frame.data.ljust(90, b"x"), 0
    first, second = frames
    packets = [
        traffic.packet(first, 0, 40),
        traffic.packet(second, 0, 40),
        traffic.packet(second, 40, len(second.data)),
    ]
    card = Card(width, 8, 8)
    card.run(packets, rng)
    card_reasons = {one["handle"]: one["reason"] for _, one in card.completions}
    assert card_reasons[0] == RxReason.STT_EVICTED
    assert card_reasons[1] in (0, RxReason.ECN)
    assert (card.held, card.open) == (0, 0)


@pytest.mark.parametrize(("width", "pace"), [(8, 7), (16, 3), (32, 2), (64, 1)])
def test_speed(width: int, pace: int) -> None:
    """Short fragments of one frame, one behind the other, without a pause; and how long one takes."""
    rng = Random(SEED)
    traffic = Traffic(rng, width)
    frame = traffic.frame()
    frame.data = frame.data[:18] + rng.randbytes(482)
    packets = [traffic.packet(frame, at, at + 20) for at in range(0, 500, 20)]
    for packet in packets:
        packet.lead = 40
        packet.row = 0
    card = Card(width, 8, 8)
    card.run(packets, rng, facts_delay=0)
    gaps = [later - sooner for sooner, later in zip(card.taken, card.taken[1:], strict=False)]
    assert sorted(gaps)[len(gaps) // 2] == pace and sum(gap > pace for gap in gaps) <= 3  # a slot is looked at
    assert card.places[-1][0] - card.taken[-1] <= 10
    assert card.completions[-1][0] - card.taken[-1] <= 11


def test_many_holes_at_full_speed() -> None:
    """Whoever keeps as many holes open as can be slows nobody down: the shortest packets come 10.5 cycles apart."""
    rng = Random(SEED)
    traffic = Traffic(rng, 8)
    frame = traffic.frame()
    frame.data, frame.reason = frame.data[:18] + rng.randbytes(1500), 0
    pieces = [(at, at + 10) for at in range(20, 20 + 24 * 20, 20)]
    hostile = [traffic.packet(frame, *piece) for piece in [*pieces, *(rng.choice(pieces[:-1]) for _ in range(100))]]
    for packet in hostile:
        packet.lead = 40
    card = Card(8, 8, 8)
    card.run(hostile, rng, facts_delay=0)
    card.check(oracle_for(card, hostile))
    late = card.taken[-100:]
    assert sorted(b - a for a, b in pairwise(late))[50] == 10
    assert late[-1] - late[0] < 10.5 * (len(late) - 1)


def test_facts_at_full_speed() -> None:
    """Frames in one fragment each, a chunk offered every cycle: their facts get through between them."""
    rng = Random(SEED)
    traffic = Traffic(rng, 64, largest=60)
    packets = []
    for _ in range(100):
        frame = traffic.frame()
        packets.append(traffic.packet(frame, 0, len(frame.data)))
    card = Card(64, 8, 8)
    card.run(packets, rng, facts_delay=20)
    card.check(oracle_for(card, packets))
    assert card.taken[-1] - card.taken[0] < 2.2 * len(card.chunks)
