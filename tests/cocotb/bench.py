"""Around the path, cycle by cycle: a host that gives beats, a wire that takes them, and the driver at the tables.

::

             Host.send ── i ──> ┌────────┐ ── o ──> Wire.packets
                                │ TxPath │
    Bench.program ── table ───> └────────┘ <── counter ── Bench.counters

All signals are read as a rising edge finds them and written for the next one.
"""

import os
import resource
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import RisingEdge, Timer
from cocotb.utils import get_sim_time

from driver import tables
from hdl.registers.counters import DropReason, TxCounter
from hdl.stream.beat import host_beat, wire_beat
from sim.card.traffic import Frame
from sim.model.network import Network
from tests.cocotb.pauses import Pause, never
from tests.driver.networks import for_driver
from tests.path.against_model import difference

WIDTH = int(os.environ["TUNNELNIC_WIDTH"])  # bytes a beat; `test_path` says it
PERIOD = 2  # simulator's steps a cycle
RESET = 64  # cycles: longer than any delay line
SETTLE = 600  # quiet cycles after which nothing more comes
PATIENCE = 20_000  # quiet cycles with packets missing: the path hangs
LIMIT = 500_000  # cycles of a case
MOST_SECONDS = 600  # of processor time: nothing else ends a simulation that pytest no longer waits for

resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
case = cocotb.test(timeout_time=LIMIT * PERIOD, timeout_unit="step")
"""A case for `test_path` to run. `@cocotb.parametrize` goes below it."""


def now() -> int:
    """Cycles since the simulation began."""
    return int(get_sim_time("step")) // PERIOD


def field(layout: data.StructLayout, name: str) -> tuple[int, int]:
    """The lowest bit of a field, and a mask of its width."""
    found = layout[name]
    return found.offset, (1 << found.width) - 1


class Host:
    """Gives frames to `i`. What does not count is junk: `meta` behind the first beat, bytes behind the last, and all
    of the payload while `valid` is 0."""

    def __init__(self, dut: Any, edge: RisingEdge, random: Random) -> None:
        self.edge, self.random = edge, random
        self.valid, self.ready, self.payload = dut.i__valid, dut.i__ready, dut.i__payload
        self.pause: Pause = never
        self.beats = 0  # taken since the start
        self.begun: list[int] = []  # for each frame the last cycle before its first beat was there to see
        self.valid.value = 0
        layout = host_beat(WIDTH)
        self.bits = layout.size
        self.last, _ = field(layout, "last")
        self.meta, _ = field(layout, "meta")
        meta = data.Layout.cast(layout["meta"].shape)
        self.fields = {name: field(meta, name)[0] for name in ("vport", "length", "gso_size", "accecn")}

    def packed(self, frame: Frame) -> list[int]:
        """A frame's beats."""
        values = {
            "vport": frame.vport,
            "length": frame.descriptor_length,
            "gso_size": frame.gso_size,
            "accecn": frame.accecn,
        }
        meta = sum(value << self.fields[name] for name, value in values.items())
        size = max(1, -(-len(frame.data) // WIDTH))
        padded = frame.data + self.random.randbytes(size * WIDTH - len(frame.data))
        junk = self.bits - self.meta
        beats = [
            int.from_bytes(padded[WIDTH * k : WIDTH * (k + 1)], "little")
            | (k == size - 1) << self.last
            | (self.random.getrandbits(junk) if k else meta) << self.meta
            for k in range(size)
        ]
        return beats

    async def send(self, frames: Iterable[Frame]) -> None:
        """Returns when the last beat is taken; `valid` is 0 then."""
        edge, valid, ready, payload, pause = self.edge, self.valid, self.ready, self.payload, self.pause
        shown = 0
        for frame in frames:
            for number, beat in enumerate(self.packed(frame)):
                while pause():
                    if shown:
                        shown = valid.value = 0
                        payload.value = self.random.getrandbits(self.bits)
                    await edge
                if not shown:
                    shown = valid.value = 1
                payload.value = beat
                if number == 0:
                    self.begun.append(now())
                await edge
                while not ready.value:
                    await edge
                self.beats += 1
        valid.value = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A packet as the wire got it, and the cycles in which its first and its last beat were taken."""

    data: bytes
    first: int
    last: int


class Wire:
    """Takes packets from `o` and holds it to the rules of streams.

    A beat that was shown stays as it is until it is taken; every beat but a packet's last is full, the last is not
    empty; nothing is ever X. And the path's own: a packet that has begun never waits, its next beat is there in the
    cycle after one was taken.
    """

    def __init__(self, dut: Any, edge: RisingEdge) -> None:
        self.edge = edge
        self.valid, self.ready, self.payload = dut.o__valid, dut.o__ready, dut.o__payload
        self.pause: Pause = never
        self.packets: list[Received] = []
        self.cycle = now()
        self.inside = 0  # bytes of the packet under way that were taken
        self.shown = False  # a beat waits to be taken
        self.active = 0  # the last cycle in which a beat was taken
        self.ready.value = 0

    async def run(self) -> None:
        """Takes beats for ever."""
        edge, valid, ready, payload = self.edge, self.valid, self.ready, self.payload
        layout = wire_beat(WIDTH)
        (bytes_at, bytes_mask), (last_at, _) = field(layout, "bytes"), field(layout, "last")
        data_mask = (1 << 8 * WIDTH) - 1
        open_now, waiting, packet, first = False, None, bytearray(), 0
        while True:
            await edge
            self.cycle += 1
            if valid.value:
                beat = payload.value.to_unsigned()
                assert waiting is None or waiting == beat, f"a beat changed before it was taken: {waiting:x}, {beat:x}"
                if open_now:
                    waiting = None
                    size, last = beat >> bytes_at & bytes_mask, beat >> last_at & 1
                    assert size == WIDTH or (last and 0 < size < WIDTH), f"a beat of {size} bytes, last {last}"
                    if not packet:
                        first = self.cycle
                    packet += (beat & data_mask).to_bytes(WIDTH, "little")[:size]
                    self.active = self.cycle
                    if last:
                        self.packets.append(Received(bytes(packet), first, self.cycle))
                        packet.clear()
                    self.inside = len(packet)
                else:
                    waiting = beat
            else:
                assert waiting is None, "a beat was withdrawn before it was taken"
                assert not packet, f"a bubble after {len(packet)} bytes of a packet, in cycle {self.cycle}"
            self.shown = waiting is not None
            if open_now == self.pause():
                open_now = not open_now
                ready.value = open_now


class Bench:
    """A path in reset and all that is around it. `name` is the seed of everything random."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.random = Random(f"{name} {WIDTH}")
        self.edge = RisingEdge(dut.clk)
        Clock(dut.clk, PERIOD, "step").start(start_high=False)
        self._tasks: list[Task[None]] = []

    async def reset(self) -> None:
        """Reset now, whatever is under way. Host and wire begin anew; the tables keep their rows.

        Delay lines have no reset: it must last until they have run empty.
        """
        for task in self._tasks:
            task.cancel()
        dut = self.dut
        dut.rst.value = 1
        dut.table__valid.value = 0
        self.host, self.wire = Host(dut, self.edge, self.random), Wire(dut, self.edge)
        await self.cycles(RESET)
        dut.rst.value = 0
        self._tasks = [cocotb.start_soon(self.wire.run())]

    async def cycles(self, count: int) -> None:
        """Lets time pass."""
        await Timer(count * PERIOD, "step")
        await self.edge

    async def write(self, write: tables.Write) -> int:
        """One row; returns when it is taken, with the cycle."""
        dut = self.dut
        dut.table__valid.value = 1
        dut.table__table.value, dut.table__row.value, dut.table__data.value = write
        await self.edge
        while not dut.table__ready.value:
            await self.edge
        dut.table__valid.value = 0
        dut.table__data.value = ~write.data & 0xFFFF
        return now()

    async def program(self, network: Network) -> None:
        """All tables, and until the last row is in its place."""
        for write in tables.writes(for_driver(network), WIDTH):
            await self.write(write)
        await self.edge
        while not self.dut.table__ready.value:
            await self.edge

    def start(self, frames: Iterable[Frame]) -> Task[None]:
        """The host begins to send; await the task for the end."""
        return self.background(self.host.send(frames))

    def background(self, work: Coroutine[Any, Any, None]) -> Task[None]:
        """Begins some work that a reset ends."""
        task = cocotb.start_soon(work)
        self._tasks.append(task)
        return task

    async def drain(self, packets: int) -> None:
        """Until so many packets came in all, and then none for a while."""
        quiet = SETTLE
        last = self.wire.cycle
        while self.wire.cycle - max(last, self.wire.active) < quiet:
            quiet = SETTLE if len(self.wire.packets) >= packets else PATIENCE
            await self.cycles(64)
        assert len(self.wire.packets) >= packets, f"the path hangs: {len(self.wire.packets)} of {packets} packets came"

    async def counters(self) -> dict[str, int]:
        """Every counter, named as the model names it."""
        found = {}
        for counter in (*TxCounter, *list(DropReason)[1:]):
            self.dut.counter__select.value = int(counter)
            await self.cycles(6)
            prefix = "drop." if isinstance(counter, DropReason) else ""
            found[prefix + counter.name.lower()] = self.dut.counter__value.value.to_unsigned()
        return found

    async def check(self, want: Sequence[bytes], counters: dict[str, int], *, since: int = 0) -> None:
        """The packets from number `since` on, and the counters, are these."""
        await self.drain(since + len(want))
        found = difference(self.wire.packets[since:], want)  # type: ignore[arg-type]
        assert not found, found
        read = await self.counters()
        wrong = [
            f"counter {name} is {read[name]}, not {counters[name]}" for name in read if read[name] != counters[name]
        ]
        assert not wrong, "; ".join(wrong)
