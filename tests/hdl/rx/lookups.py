"""Lookups and table writes at once: every answer must be what the rows said when its lookup began."""

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from amaranth import Elaboratable, Module
from amaranth.lib import data
from amaranth.sim import Simulator

from hdl.registers.rx_tables import ROW_FIELDS, RxTable
from hdl.rx.rows import RX_TABLE_WRITE
from hdl.table.writer import TableWriter
from tests.hdl.stream.drive import receive, run, send
from tests.support.rows import unpack

Write = tuple[RxTable, int, int]


class Rows:
    """What was written, by table; rows that were not are zero."""

    def __init__(self) -> None:
        self.rows: dict[tuple[RxTable, int], int] = {}

    def __call__(self, table: RxTable, row: int = 0) -> dict[str, int]:
        return unpack(ROW_FIELDS[table], self.rows.get((table, row), 0))

    def all(self, table: RxTable) -> list[dict[str, int]]:
        return [unpack(ROW_FIELDS[table], row) for (of, _), row in self.rows.items() if of == table]


class Written(Elaboratable):
    """A block behind its table writer."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self.writer = TableWriter(layout=RX_TABLE_WRITE, drain=block.latency + 4)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block, m.submodules.writer = self.block, self.writer
        m.d.comb += [self.block.table.eq(self.writer.o), self.block.hold.eq(self.writer.hold)]
        return m


def check(
    block: Any,
    i: Any,
    o: Any,
    *,
    items: Iterable[Any],
    writes: Iterable[Write],
    expect: Callable[[Rows, Any], Any],
    same: Callable[[Any, Any], bool],
    rng: random.Random,
    pauses: tuple[float, float] = (0.0, 0.0),
    gap: int = 30,
) -> None:
    """Send `items` into `i` while rows are written, at most `gap` cycles apart.

    `expect` says what a lookup must give from the rows of the cycle in which it begins; `same` compares that
    with what comes out. `pauses`: shares of idle cycles, in front and behind.
    """
    items = list(items)
    rows, waiting, done = Rows(), deque[Any](), list[int]()
    dut = Written(block)
    taken_at = [-100]

    async def watch(ctx: Any) -> None:
        """In each cycle: what is written, and what is taken."""
        left = deque(items)
        cycle = 0
        while left:
            _, _, taken, table = await ctx.tick().sample(block.begins, dut.writer.o)
            if taken:
                taken_at.append(cycle)
                waiting.append(expect(rows, left.popleft()))
            if table.valid:
                assert cycle - taken_at[-1] > block.latency, "a row is written while a lookup is under way"
                rows.rows[RxTable(table.table), table.row] = table.data
            cycle += 1

    def keep(cycle: int, payload: Any) -> bool:
        expected = waiting.popleft()
        assert same(expected, payload), f"answer {len(done)}: {expected} is not {payload}"
        done.append(cycle)
        return len(done) == len(items)

    async def ask(ctx: Any) -> None:
        await send(ctx, i, items, rng=rng, pause=pauses[0])

    async def answer(ctx: Any) -> None:
        await receive(ctx, o, keep, rng=rng, pause=pauses[1], limit=60_000)

    run(dut, watch, writing(dut.writer, writes, rng, gap), ask, answer)
    assert len(done) == len(items) and not waiting


def check_unheld(
    block: Any,
    *,
    ask: Callable[[Any, Any], None],
    came: Any,
    answer: Any,
    items: Iterable[Any],
    writes: Iterable[Write],
    expect: Callable[[Rows, Any], Any],
    same: Callable[[Any, Any, Any], bool],
    pace: int,
    latency: int,
    rng: random.Random,
    pause: float = 0.0,
    gap: int = 30,
) -> None:
    """The same of a block that holds nothing back: an answer is what the rows said at some time of its lookup.

    A row may wait some cycles until nobody reads its place. `ask` puts an item onto the block's inputs, or takes them
    away (None); `came`: `answer` is given in this cycle, `latency` cycles behind its item.
    """
    items = list(items)
    writer, top = TableWriter(layout=RX_TABLE_WRITE, drain=latency + 4, rest=8), Module()
    top.submodules.block, top.submodules.writer = block, writer
    top.d.comb += block.table.eq(writer.o)
    rows, old, waiting = Rows(), Rows(), deque[tuple[int, Any, list[Any]]]()
    late = deque[Any]([None] * 8)  # what `old` is to be told
    answers = 0

    async def drive(ctx: Any) -> None:
        for item in items:
            ask(ctx, item)
            await ctx.tick()
            ask(ctx, None)
            for _ in range(pace - 1 if rng.random() >= pause else rng.randrange(pace, 4 * pace)):
                await ctx.tick()

    async def watch(ctx: Any) -> None:
        nonlocal answers
        asked = iter(items)
        cycle = 0
        while answers < len(items):
            _, _, table, taken, given, payload = await ctx.tick().sample(writer.o, block_asks(block), came, answer)
            late.append(table if table.valid else None)
            for known, write in ((rows, late[-1]), (old, late.popleft())):
                if write is not None:
                    known.rows[RxTable(write.table), write.row] = write.data
            if taken:
                item = next(asked)
                waiting.append((cycle, item, [expect(old, item), expect(rows, item)]))
            if given:
                at, item, possible = waiting.popleft()
                assert cycle - at == latency, f"answer {answers}: {cycle - at} cycles, not {latency}"
                possible.append(expect(rows, item))
                assert any(same(one, payload, item) for one in possible), f"{answers}: {payload} is none of {possible}"
                answers += 1
            cycle += 1
            assert cycle < 60_000

    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch)
    simulator.add_testbench(writing(writer, writes, rng, gap), background=True)
    simulator.run()


def block_asks(block: Any) -> Any:
    return block.request_valid if hasattr(block, "request_valid") else block.mac_valid


def writing(writer: TableWriter, writes: Iterable[Write], rng: random.Random, gap: int) -> Callable[[Any], Any]:
    """A testbench that writes rows, at most `gap` cycles apart."""

    async def write(ctx: Any) -> None:
        port = writer.i
        for table, row, packed in writes:
            for _ in range(rng.randrange(gap)):
                await ctx.tick()
            ctx.set(port.table, table)
            ctx.set(port.row, row)
            ctx.set(port.data, packed)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

    return write


def full_speed(block: Any, i: Any, o: Any, items: list[Any]) -> tuple[int, int]:
    """Cycles between the last two answers of `items` sent without a pause, and from the first item to its answer."""
    given, came = list[int](), list[int]()

    async def watch(ctx: Any) -> None:
        cycle = 0
        while len(came) < len(items):
            _, _, taken, left = await ctx.tick().sample(i.valid & i.ready, o.valid & o.ready)
            if taken:
                given.append(cycle)
            if left:
                came.append(cycle)
            cycle += 1

    rng = random.Random(0)

    async def ask(ctx: Any) -> None:
        await send(ctx, i, items, rng=rng)

    async def answer(ctx: Any) -> None:
        await receive(ctx, o, lambda *_: len(came) == len(items), rng=rng)

    run(block, watch, ask, answer)
    return (came[-1] - came[-21]) // 20, came[0] - given[0]


def record(layout: Any, values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A record with these fields, and the others at random."""
    found = {}
    for name, field in data.Layout.cast(layout).members.items():
        if isinstance(field, int):
            found[name] = values[name] if name in values else rng.getrandbits(field)
        else:
            found[name] = record(field, values.get(name, {}), rng)
    return found
