"""Around the receive path, cycle by cycle: a line that brings packets, a host with buffers, and the driver.

::

           Line.send ── i ──────> ┌────────┐ ── place, delivery ──> Memory.deliveries
                                  │ RxPath │ <── buffer ─────────── Memory
    ReceiveBench.program ─ table > └────────┘ <── counter ── ReceiveBench.counters

All signals are read as a rising edge finds them and written for the next one.
"""

from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from random import Random
from struct import pack_into
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import RisingEdge, Timer

from driver import receive as driver_receive
from driver.changes import changes
from hdl.registers.receive import RxCounter, RxReason
from hdl.rx.layouts import Delivery as Record
from hdl.rx.layouts import place_beat
from hdl.stream.beat import wire_beat
from sim.card.deliveries import Delivery, described
from sim.model.receive.card import ReceiveSettings
from tests.cocotb.bench import PATIENCE, PERIOD, RESET, WIDTH, field, now
from tests.cocotb.pauses import Pause, never
from tests.path.conftest import CONFIGS
from tests.path.receive_against_model import COUNTED, disagreement, expect, for_driver

BUFFER = 1 << 16  # bytes
QUIET = 1200  # cycles without a beat after which nothing more comes
LONGEST_WAIT = 0xFFFF  # ticks
SLOWEST_TABLE = 2000  # cycles that a row may have to wait


class Line:
    """Gives packets to `i`; bytes behind a packet's end, and all of the payload while `valid` is 0, are junk."""

    def __init__(self, dut: Any, edge: RisingEdge, random: Random) -> None:
        self.edge, self.random = edge, random
        self.valid, self.ready, self.payload = dut.i__valid, dut.i__ready, dut.i__payload
        self.pause: Pause = never
        self.beats = 0  # taken since the start
        self.begun: list[int] = []  # for each packet the last cycle before its first beat was there to see
        self.inside = 0  # bytes of the packet under way that were taken
        self.valid.value = 0
        layout = wire_beat(WIDTH)
        self.bits = layout.size
        self.bytes_at, self.last_at = field(layout, "bytes")[0], field(layout, "last")[0]

    async def send(self, packets: Iterable[bytes]) -> None:
        """Returns when the last beat is taken; `valid` is 0 then."""
        edge, valid, ready, payload = self.edge, self.valid, self.ready, self.payload
        shown = 0
        for packet in packets:
            for at in range(0, len(packet), WIDTH):
                while self.pause():
                    if shown:
                        shown = valid.value = 0
                        payload.value = self.random.getrandbits(self.bits)
                    await edge
                if not shown:
                    shown = valid.value = 1
                part = packet[at : at + WIDTH]
                junk = self.random.randbytes(WIDTH - len(part))
                beat = int.from_bytes(part + junk, "little") | len(part) << self.bytes_at
                payload.value = beat | (at + WIDTH >= len(packet)) << self.last_at
                if at == 0:
                    self.begun.append(now())
                await edge
                while not ready.value:
                    await edge
                self.beats += 1
                self.inside = at + len(part) if at + WIDTH < len(packet) else 0
        valid.value = 0


class Memory:
    """The host: buffers of 64 KB, what the card writes there, and the frames that it hands up.

    It holds the card to the rules of its streams (a beat that was shown stays as it is until it is taken; nothing is
    X), and of placing: only into buffers that it has, within them, one placement after the other; and a frame is whole
    when it is handed up.
    """

    def __init__(self, dut: Any, edge: RisingEdge, random: Random) -> None:
        self.edge, self.dut = edge, dut
        self.place_pause: Pause = never
        self.delivery_pause: Pause = never
        self.buffer_pause: Pause = never
        self.deliveries: list[Delivery] = []
        self.lost = Counter[RxReason]()
        self.active = self.cycle = now()  # the last cycle in which a beat was taken, and the latest
        self.placed = 0  # beats
        self.inside = False  # a placement is under way
        self.shown = Counter[str]()  # beats that wait to be taken
        self._next = (0, 0)
        self._free = random.sample(range(1 << 16), 1024)
        self._offered: int | None = None
        self._claimed: dict[int, tuple[bytearray, bytearray]] = {}  # data; what of it was written
        self._beat, self._record = place_beat(WIDTH), data.Layout.cast(Record)
        self._fields = {name: field(self._beat, name) for name in ("data", "bytes", "last", "handle", "offset")}
        for name in ("place__ready", "delivery__ready", "buffer__valid"):
            getattr(dut, name).value = 0

    @property
    def claimed(self) -> int:
        """Buffers that the card has."""
        return len(self._claimed)

    async def run(self) -> None:
        """Serves the card for ever."""
        dut, edge = self.dut, self.edge
        takes = {"place": self._place, "delivery": self._hand_up}
        pauses = {"place": "place_pause", "delivery": "delivery_pause"}
        waiting: dict[str, int | None] = dict.fromkeys(takes)
        streams = {name: [getattr(dut, f"{name}__{port}") for port in ("valid", "payload", "ready")] for name in takes}
        open_now = dict.fromkeys(takes, False)
        buffer_valid, buffer_ready, buffer_payload = dut.buffer__valid, dut.buffer__ready, dut.buffer__payload
        self.active = self.cycle = now()
        while True:
            await edge
            self.cycle += 1
            if self._offered is not None and buffer_ready.value:
                self._claimed[self._offered] = bytearray(BUFFER), bytearray(BUFFER)
                self._offered = None
                buffer_valid.value = 0
            if self._offered is None and self._free and not self.buffer_pause():
                self._offered = self._free.pop(0)
                buffer_payload.value, buffer_valid.value = self._offered, 1
            for name, (valid, payload, ready) in streams.items():
                before = waiting[name]
                if valid.value:
                    beat = payload.value.to_unsigned()
                    assert before is None or before == beat, f"{name}: a beat changed before it was taken"
                    waiting[name] = None if open_now[name] else beat
                    if open_now[name]:
                        self.active = self.cycle
                        takes[name](beat)
                else:
                    assert before is None, f"{name}: a beat was withdrawn before it was taken"
                self.shown[name] = waiting[name] is not None
                if open_now[name] == getattr(self, pauses[name])():
                    open_now[name] = not open_now[name]
                    ready.value = open_now[name]

    def _place(self, beat: int) -> None:
        got = {name: beat >> at & mask for name, (at, mask) in self._fields.items()}
        size, at, handle = got["bytes"], got["offset"], got["handle"]
        assert size == WIDTH or (got["last"] and 0 < size < WIDTH), f"a placement's beat of {size} bytes"
        assert not self.inside or (handle, at) == self._next, "a placement does not go on where it was"
        assert handle in self._claimed, f"a placement into buffer {handle:#x}, which is not the card's"
        assert at + size <= BUFFER, "a placement beyond the buffer's end"
        content, written = self._claimed[handle]
        content[at : at + size] = got["data"].to_bytes(WIDTH, "little")[:size]
        written[at : at + size] = b"\1" * size
        self.inside, self._next = not got["last"], (handle, at + size)
        self.placed += 1

    def _hand_up(self, value: int) -> None:
        record = self._record.from_bits(value)
        reason = RxReason(record.reason)
        if record.claimed or not reason:
            assert record.claimed and record.handle in self._claimed, f"buffer {record.handle:#x} is not the card's"
            content, written = self._claimed.pop(record.handle)
            self._free.append(record.handle)
        if reason:
            self.lost[reason] += record.packets
            return
        assert 0 not in written[: record.length], f"a frame of {record.length} bytes that are not all there"
        frame = patched(bytes(content[: record.length]), record.patches)
        self.deliveries.append(described(record, frame, cycle=self.cycle, last_byte_cycle=0))


def patched(frame: bytes, patches: Any) -> bytes:
    """A frame with its record's patches written into it."""
    out, l3, l4, ipv6 = bytearray(frame), 2 * patches.l3, 2 * patches.l4, patches.ipv6
    if patches.ip:
        pack_into("!H", out, l3, patches.tos_word)
    if (patches.ip or patches.merged) and not ipv6:
        pack_into("!H", out, l3 + 10, patches.ip_checksum)
    if patches.merged:
        pack_into("!H", out, l3 + (4 if ipv6 else 2), patches.ip_length)
        pack_into("!H", out, l4 + 12, patches.tcp_flags)
        pack_into("!H", out, l4 + 16, patches.l4_checksum)
    return bytes(out)


class ReceiveBench:
    """A path in reset and all that is around it. `name` is the seed of everything random."""

    def __init__(self, dut: Any, name: str) -> None:
        self.dut, self.config = dut, CONFIGS[WIDTH]
        self.random = Random(f"{name} {WIDTH}")
        self.edge = RisingEdge(dut.clk)
        Clock(dut.clk, PERIOD, "step").start(start_high=False)
        self._tasks: list[Task[None]] = []

    async def reset(self, cycles: int = RESET) -> None:
        """Reset now, whatever is under way. Line and host begin anew: no buffer is the card's any more."""
        for task in self._tasks:
            task.cancel()
        dut = self.dut
        dut.rst.value = 1
        dut.table__valid.value = dut.flush.value = 0
        dut.idle.value = dut.timeout.value = LONGEST_WAIT
        self.line, self.memory = Line(dut, self.edge, self.random), Memory(dut, self.edge, self.random)
        await self.cycles(cycles)
        dut.rst.value = 0
        self._tasks = [cocotb.start_soon(self.memory.run())]

    async def cycles(self, count: int) -> None:
        """Lets time pass."""
        await Timer(count * PERIOD, "step")
        await self.edge

    async def write(self, write: driver_receive.RxWrite) -> int:
        """One row; returns when it is taken, with the cycle."""
        dut = self.dut
        dut.table__valid.value = 1
        dut.table__table.value, dut.table__row.value, dut.table__data.value = (int(part) for part in write)
        await self.edge
        for _ in range(SLOWEST_TABLE):
            if dut.table__ready.value:
                break
            await self.edge
        else:
            raise AssertionError("a table takes no row")
        dut.table__valid.value = 0
        dut.table__data.value = ~write.data & 0xFFFF
        return now()

    async def program(self, settings: ReceiveSettings) -> None:
        """All tables, and until the last row is in its place. Rows that stay zero are left out."""
        for write in changes(driver_receive.writes(for_driver(settings))):
            await self.write(write)
        await self.edge
        while not self.dut.table__ready.value:
            await self.edge

    def start(self, packets: Iterable[bytes]) -> Task[None]:
        """The line begins to bring packets; await the task for the end."""
        return self.background(self.line.send(packets))

    def background(self, work: Coroutine[Any, Any, None]) -> Task[None]:
        """Begins some work that a reset ends."""
        task = cocotb.start_soon(work)
        self._tasks.append(task)
        return task

    async def settle(self) -> None:
        """Until nothing has moved for a while."""
        begun = last = self.memory.cycle
        while self.memory.cycle - max(last, self.memory.active) < QUIET:
            assert self.memory.cycle - begun < 10 * PATIENCE, "the path does not come to rest"
            await self.cycles(64)

    async def drain(self) -> None:
        """Until all that was taken has come, open runs included."""
        await self.settle()
        self.dut.flush.value = 1
        await self.settle()
        self.dut.flush.value = 0

    async def counters(self) -> dict[RxReason | RxCounter, int]:
        """Every counter of `COUNTED`."""
        found = {}
        for counter in COUNTED:
            self.dut.counter__select.value = int(counter)
            await self.cycles(8)
            found[counter] = self.dut.counter__value.value.to_unsigned()
        return found

    async def check(self, settings: ReceiveSettings, packets: Sequence[bytes]) -> None:
        """What came since the reset, and the counters, are what the model makes of these packets."""
        await self.drain()
        want, model = expect(settings, packets, self.config.contexts)
        held = self.dut.held.value.to_unsigned()
        said = disagreement(want, model, self.memory.deliveries, await self.counters(), held)
        assert not said, said
        open_frames = self.dut.open.value.to_unsigned()
        assert open_frames == model.open, f"{open_frames} frames are open, not {model.open}"
