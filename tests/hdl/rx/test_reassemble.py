"""STT frames in host memory, byte for byte, and what is said of them: against the model, packet by packet."""

import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from hdl.registers.receive import RxReason
from hdl.rx.layouts import SttChunk, SttFacts
from hdl.rx.reassemble import Reassemble
from tests.hdl.rx.lookups import record
from tests.hdl.rx.stt_traffic import Oracle, Packet, Traffic, patched, stt_facts
from tests.hdl.stream.drive import repeat, send

SEED = int(os.environ.get("SEED", "1"))
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
                ctx.set(dut.facts.payload, one)
                ctx.set(dut.facts.valid, 1)
                await ctx.tick().until(dut.facts.ready)
                ctx.set(dut.facts.valid, 0)

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
                    jumped, quiet = True, -64 * dut.slots
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
                quiet = 0 if placed or completed or len(self.taken) < len(items) else quiet + 1
                self.cycle += 1
                assert self.cycle < 200_000
            self.held, self.open = ctx.get(dut.held), ctx.get(dut.open)

        from amaranth.sim import Simulator

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
            frame = patched(bytes(memory[one["handle"]][: one["length"]]), one["patches"])
            assert frame == want.frame
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
    oracle = Oracle(slots=card.dut.slots, quota=card.dut.quota, buffers=card.buffers, **more)
    for packet in packets:
        oracle.add(packet)
    return oracle


@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("kind", ["calm", "crowded", "stalled"])
def test_random(width: int, kind: str) -> None:
    """Frames in any order with lies and losses; more at a time than there are slots; with pauses on every side."""
    seed = SEED * 1000 + width + len(kind)
    rng = Random(seed)
    traffic = Traffic(rng, width, largest=700)
    open_frames = {"calm": 3, "crowded": 14, "stalled": 6}[kind]
    packets = traffic.packets(60, open_frames=open_frames)
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
    assert sum(one.reason == wanted for one in oracle.outcomes.values()) > 10, repeat(TEST, SEED)
