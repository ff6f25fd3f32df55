"""The coalescer against the model: every completion in its order, every byte where it belongs."""

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from amaranth.sim import Simulator

from hdl.config import WIDTHS
from hdl.registers.receive import RxReason
from hdl.rx.coalesce import Coalesce
from sim.model.parse import parse
from sim.model.segment import FIN, PSH, finish
from tests.hdl.rx.coalescing import Expected, Given, Reference, patched, rows_of
from tests.support.frames import ACK, CWR, RST, SYN, TIMESTAMPS, arp, extension, tcp_frame, udp_frame

SEED = int(os.environ.get("SEED", "1"))
PACKETS = int(os.environ.get("PACKETS", "50"))


@dataclass
class Wait:
    """Let all come out, then let time pass."""

    ticks: int = 0
    flush: bool = False


@dataclass
class Bench:
    """One coalescer in the simulator, a ring and host buffers around it."""

    width: int = 8
    slots: int = 8
    quota: int = 8
    seed: int = 0
    idle: int = 1000
    pauses: bool = True  # in front of packets, and where places and completions go
    buffers: float = 1.0  # share of cycles in which there is one
    total: int = 1 << 16  # of buffers
    dense: bool = False  # packets come only when all header rows are there, or no more have room
    flush: bool = False  # all the time
    ring: dict[int, bytes] = field(default_factory=dict)
    places: list = field(default_factory=list)
    done: list = field(default_factory=list)  # (completions, packets placed when it came)
    at_wait: list = field(default_factory=list)  # (places, completions, held, open)
    cycles: list = field(default_factory=list)  # at which packets were taken

    def run(self, given: list[Given | Wait]) -> None:
        random = Random(self.seed)
        dut = Coalesce(self.width, self.slots)
        ready: list[tuple[dict, int]] = []  # packets whose rows are committed
        progress = {
            "sent": 0,
            "packets": 0,
            "stop": False,
            "calm": False,
            "row": random.getrandbits(16),
            "cycle": 0,
        }
        pause = 0.3 if self.pauses else 0.0

        async def give_rows(ctx):
            ctx.set(dut.quota, self.quota)
            ctx.set(dut.idle, self.idle)
            ctx.set(dut.flush, self.flush)
            await ctx.tick().repeat(2)
            now = random.getrandbits(16)
            ctx.set(dut.now, now)
            for one in given:
                if isinstance(one, Wait):
                    self.dense = False
                    while progress["sent"] < progress["packets"]:
                        await ctx.tick()
                    progress["calm"] = True
                    await ctx.tick().repeat(150)
                    now += one.ticks
                    ctx.set(dut.now, now & 0xFFFF)
                    ctx.set(dut.flush, one.flush)
                    await ctx.tick().repeat(self.slots * dut.pace * 3 + 150)
                    ctx.set(dut.flush, self.flush)
                    progress["calm"] = False
                    self.at_wait.append((len(self.places), len(self.done), ctx.get(dut.held), ctx.get(dut.open)))
                    continue
                rows = one.rows(self.width)
                if random.random() < 0.2:  # what was taken for a frame was an outer header
                    await self.give(ctx, dut, [random.getrandbits(8 * self.width)] * random.randint(1, 3), random)
                lane = random.randrange(self.width) if one.outer else 0
                row = progress["row"]
                self.store(row, lane, one.frame, random)
                progress["row"] = (row + rows_of(one, self.width, lane)) & 0xFFFF
                progress["packets"] += 1
                given_rows = rows or [0] * random.randint(0, 2)  # what turns out to be no TCP has given rows, too
                await self.give(ctx, dut, given_rows, random, commit=len(rows))
                ready.append((one.record(self.width, row, lane, random), random.randint(0, 40 if pause else 0)))
            progress["stop"] = True

        async def give_packets(ctx):
            while not (progress["stop"] and not ready):
                if not ready or self.dense:
                    await ctx.tick()
                    continue
                record, wait = ready.pop(0)
                if wait > 30:
                    await ctx.tick().repeat(wait)
                ctx.set(dut.packet.payload, record)
                ctx.set(dut.packet.valid, 1)
                await ctx.tick().until(dut.packet.ready)
                self.cycles.append(progress["cycle"])
                ctx.set(dut.packet.valid, 0)
                progress["sent"] += 1

        async def watch(ctx):
            places = completions = late_places = late_completions = 0
            handle = 0
            ctx.set(dut.place_go, 1)
            ctx.set(dut.completion_go, 1)
            signals = (dut.place_valid, dut.place, dut.completion_valid, dut.completion, dut.buffer.ready)
            offered = False
            async for _, _, place_valid, place, valid, completion, taken in ctx.tick().sample(*signals):
                progress["cycle"] += 1
                assert progress["cycle"] < 200 * len(given) + 100_000, "nothing happens any more"
                late_places = (late_places + place_valid) * (not ctx.get(dut.place_go))
                late_completions = (late_completions + valid) * (not ctx.get(dut.completion_go))
                assert late_places <= dut.place_margin - 4, "more than the margin"  # four: on the way to `place_go`
                assert late_completions <= dut.completion_margin - 4, "more than the margin"
                if place_valid:
                    self.places.append(place)
                if valid:
                    self.done.append(completion)
                handle += bool(offered and taken)
                offered = handle < self.total and random.random() < self.buffers
                ctx.set(dut.buffer.valid, offered)
                ctx.set(dut.buffer.payload, handle)
                if random.random() < pause / 10 and not progress["calm"]:
                    places = random.randint(0, 60)
                if random.random() < pause / 10 and not progress["calm"]:
                    completions = random.randint(0, 60)
                ctx.set(dut.place_go, places == 0)
                ctx.set(dut.completion_go, completions == 0)
                places, completions = max(places - 1, 0), max(completions - 1, 0)

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(give_rows)
        simulator.add_testbench(give_packets)
        simulator.add_testbench(watch, background=True)
        simulator.run()

    async def give(self, ctx, dut, rows: list[int], random: Random, commit: int | None = None) -> None:
        """Header rows, each of them a cycle or more."""
        for number, row in enumerate(rows):
            while not ctx.get(dut.row_space) or (self.pauses and random.random() < 0.2):
                self.dense = self.dense and bool(ctx.get(dut.row_space))
                await ctx.tick()
            ctx.set(dut.row, row)
            ctx.set(dut.row_first, number == 0)
            ctx.set(dut.row_valid, 1)
            final = commit is not None and number == len(rows) - 1 and random.random() < 0.5
            if final:
                ctx.set(dut.row_commit, 1)
                ctx.set(dut.row_count, commit)
                commit = None
            await ctx.tick()
            ctx.set(dut.row_valid, 0)
            ctx.set(dut.row_commit, 0)
        if commit is not None:
            ctx.set(dut.row_commit, 1)
            ctx.set(dut.row_count, commit)
            await ctx.tick()
            ctx.set(dut.row_commit, 0)

    def store(self, row: int, lane: int, frame: bytes, random: Random) -> None:
        data = random.randbytes(lane) + frame
        for at in range(0, max(len(data), 1), self.width):
            self.ring[(row + at // self.width) & 0xFFFF] = data[at : at + self.width].ljust(self.width, b"?")

    def frames(self) -> list[Expected]:
        """What the completions say, with the frames that the places have made by then."""
        buffers: dict[int, bytearray] = {}
        placed, found = 0, []
        for one in self.done:
            assert one.placed <= len(self.places)
            for place in self.places[placed : one.placed]:
                self.place(buffers, place)
            placed = max(placed, one.placed)
            if not one.claimed:
                assert one.reason
                found.append(Expected(b"", packets=one.packets, reason=one.reason))
                continue
            frame = patched(bytes(buffers.pop(one.handle)[: one.length]), one.patches)
            assert len(frame) == one.length and (one.slow or not one.reason)
            found.append(
                Expected(
                    frame,
                    packets=one.packets,
                    reason=one.reason,
                    slow=bool(one.slow),
                    vnet=None if one.slow else one.vnet,
                    gso_size=one.gso_size,
                    tcpv6=bool(one.tcpv6),
                    fixed_id=bool(one.fixed_id),
                    ip_status=one.ip_status,
                    l4_status=one.l4_status,
                )
            )
        return found

    def place(self, buffers: dict[int, bytearray], place) -> None:
        assert place.last
        if place.discard:
            return
        rows = -(-(place.lane + place.length) // self.width)
        data = b"".join(self.ring[(place.row + n) & 0xFFFF] for n in range(rows))
        data = data[place.lane : place.lane + place.length]
        if place.offset == 0:
            assert place.handle not in buffers
            buffers[place.handle] = bytearray(data)
        else:
            assert len(buffers[place.handle]) == place.offset, "payload lies behind payload"
            buffers[place.handle] += data


def check(bench: Bench, given: list[Given | Wait], what: str = "") -> Counter:
    """Run, and compare with the model; what comes within one wait may come in any order."""
    again = f"SEED={SEED} PACKETS={PACKETS} {what} (seed {bench.seed})"
    given = [*given, Wait(flush=True)]
    bench.run(given)
    packets = [one for one in given if isinstance(one, Given)]
    assert len(bench.places) == len(packets), again
    model = Reference(bench.slots, bench.quota)
    seen: Counter[str] = Counter()
    places, waits, found, at = iter(bench.places), iter(bench.at_wait), bench.frames(), 0
    now = 0
    for number, one in enumerate(given):
        say = f"{number}: {one}\n{again}"
        if isinstance(one, Wait):
            now += one.ticks
            wanted = model.idle(now, -1 if one.flush else bench.idle)
            got = found[at : at + len(wanted)]
            assert sorted(map(repr, got)) == sorted(map(repr, wanted)), say
            at += len(wanted)
            assert next(waits)[1:] == (at, model.held, len(model.runs)), say
        else:
            place = next(places)
            starved = bool(place.discard) and not (one.reason and not one.slow)
            for wanted_one in model.take(one, now, starved):
                assert at < len(found), say
                assert found[at] == wanted_one, f"{say}\ngot {found[at]}\nnot {wanted_one}"
                at += 1
                seen["starved" if starved else "merged" if wanted_one.packets > 1 else "single"] += 1
    assert at == len(found), again
    return seen


class Flow:
    """Segments of one connection, most of them in order."""

    def __init__(self, random: Random, number: int, *, vnets: int = 2) -> None:
        self.version = random.choice((4, 6))
        self.size = random.choice((1, 7, 100, 1000))
        self.sequence = random.choice((0xFFFFFF00, random.getrandbits(32)))
        self.id = random.choice((0xFFFE, random.getrandbits(16)))
        self.step = random.choice((0, 1, 1))
        self.flags = random.choice((0, 0x4000, 0x4000))
        self.tags = random.choice(([], [], [(0x8100, 5)], [(0x88A8, 1), (0x8100, 2)]))
        self.options = random.choice((b"", TIMESTAMPS))
        self.ports = (1024 + number, 80)
        self.vnet = random.randrange(vnets)
        self.tunnel = random.choice((None, random.getrandbits(32)))
        self.outer = 0 if self.tunnel is None else random.randint(20, 80)
        self.tos = random.choice((None, None, 1, 3))

    def next(self, random: Random) -> Given:
        size, flags, chance = self.size, ACK, random.random()
        if chance < 0.06:
            flags |= random.choice((FIN, PSH, FIN | PSH, CWR, SYN, RST))
        elif chance < 0.1:
            size = random.choice((0, size + 1, max(size - 1, 0)))
        elif chance < 0.12:
            self.sequence += random.choice((1, -1, self.size))
        elif chance < 0.14:
            self.id += 1
        if self.version == 4:
            ip: dict = {"identification": self.id & 0xFFFF, "flags_and_offset": self.flags}
            if random.random() < 0.02:
                ip["options"] = bytes([1] * 4)
            if random.random() < 0.02:
                ip["flags_and_offset"] ^= random.choice((0x4000, 0x8000))
            if self.tos is not None and random.random() < 0.9:
                ip["tos"] = 2
        else:
            ip = {}
        frame = tcp_frame(
            self.version,
            random.randbytes(size),
            tags=self.tags,
            flags=flags,
            options=self.options,
            sequence=self.sequence & 0xFFFFFFFF,
            ports=self.ports,
            ip=ip,
        )
        frame = finish(parse(frame))
        self.sequence += size
        self.id += self.step
        chance = random.random()
        if chance < 0.03:
            at = random.randrange(parse(frame).l3, len(frame))
            frame = frame[:at] + bytes([frame[at] ^ 1 << random.randrange(8)]) + frame[at + 1 :]
        elif chance < 0.05:
            changed = bytearray(frame)
            changed[parse(frame).l4 + 11] ^= 1  # ACK number
            frame = finish(parse(bytes(changed)))
        elif chance < 0.06:
            frame += bytes(3)
        elif chance < 0.07:
            at = random.choice((0, 11))
            frame = frame[:at] + bytes([frame[at] ^ 2]) + frame[at + 1 :]  # to or from someone else
        options = int(random.random() < 0.02)
        tos = self.tos
        if parse(frame).ip_version and random.random() < 0.02:
            tos = random.getrandbits(8)
        return Given(frame, self.vnet, self.tunnel, self.outer, options, tos)


def others(random: Random, flow: Flow) -> Given:
    """What is no TCP segment, what is dropped and what goes the slow path."""
    kind = random.randrange(5)
    frame = [udp_frame(4, b"payload"), arp(), b"short", udp_frame(6, b""), flow.next(random).frame][kind]
    if kind == 4 or random.random() < 0.2:
        slow = random.random() < 0.5
        return Given(frame, reason=random.choice((1, 2, 3)) if slow else random.randint(1, 31), slow=slow)
    frame = finish(parse(frame)) if len(frame) >= 14 else frame
    return Given(frame, flow.vnet, tos=random.choice((None, 3)) if len(frame) >= 14 else None)


def traffic(random: Random, count: int, flows: int, *, burst: int = 6, vnets: int = 2) -> list[Given | Wait]:
    all_flows = [Flow(random, number, vnets=vnets) for number in range(flows)]
    given: list[Given | Wait] = []
    while len(given) < count:
        flow = random.choice(all_flows)
        if random.random() < 0.1:
            given.append(others(random, flow))
        given += [flow.next(random) for _ in range(random.randint(1, burst))]
        if random.random() < 0.02:
            given.append(Wait(random.choice((900, 1000, 1500))))
    return given


@pytest.mark.parametrize("width", WIDTHS)
def test_random(width):
    random = Random(SEED * 1000 + width)
    given = traffic(random, PACKETS, 6)
    seen = check(Bench(width, seed=SEED), given, f"-k 'test_random and {width}'")
    assert seen["merged"] > PACKETS // 20 and seen["single"] > PACKETS // 10


@pytest.mark.parametrize("width, quota", [(8, 1), (16, 3), (32, 8), (64, 3)])
def test_more_flows_than_slots(width, quota):
    random = Random(SEED * 1000 + width + quota)
    given = traffic(random, PACKETS, 24, burst=3, vnets=3)
    check(Bench(width, quota=quota, seed=SEED, pauses=quota == 8), given, f"-k 'slots and {width} and {quota}'")


@pytest.mark.full
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(6))
def test_long(width, seed):
    """More of the same, with few and many slots, flows and buffers."""
    random = Random(SEED * 1000 + 10 * width + seed)
    slots = random.choice((4, 8, 64))
    bench = Bench(width, slots, quota=random.randint(1, slots), seed=seed, pauses=random.random() < 0.5)
    bench.buffers = random.choice((1.0, 0.3))
    bench.dense = random.random() < 0.5
    given = traffic(random, 300, random.randint(1, 2 * slots), burst=random.choice((2, 8)))
    check(bench, given, f"-m full -k 'long and {width}'")


@pytest.mark.parametrize("width", [8, 64])
def test_no_buffers(width):
    """Now and then there is none; what needs none goes on. In the end there are no more."""
    random = Random(SEED + width)
    given = traffic(random, PACKETS, 4)
    bench = Bench(width, seed=SEED, buffers=0.3 if width == 8 else 0.4, total=20, pauses=False)
    seen = check(bench, given, f"-k 'no_buffers and {width}'")
    assert seen["starved"] and seen["merged"]


@pytest.mark.parametrize("width", [8, 64])
def test_one_hash_for_all(width):
    """Flows that cannot be told apart by their hash end each other's runs, and are never mixed."""
    random = Random(SEED + width)
    given = [replace(one, hash=7) if isinstance(one, Given) else one for one in traffic(random, PACKETS, 3)]
    check(Bench(width, seed=SEED, pauses=False), given, f"-k 'one_hash and {width}'")


def segments(count: int, size: int, **more) -> list[Given]:
    """Packets of one connection that belong together."""
    given = {name: more.pop(name) for name in ("outer", "tunnel") if name in more}
    frames = [
        tcp_frame(4, bytes(size), sequence=1 + n * size, ip={"identification": n, **more.pop("ip", {})}, **more)
        for n in range(count)
    ]
    return [Given(finish(parse(frame)), **given) for frame in frames]


@pytest.mark.parametrize("width", WIDTHS)
def test_back_to_back(width):
    """A packet a pace, or as fast as header rows come, also of one flow: and all in one frame."""
    given = segments(40, 6)
    bench = Bench(width, seed=1, pauses=False, dense=True)
    check(bench, list(given))
    rows = len(given[0].rows(width))
    assert rows == {8: 7, 16: 4, 32: 2, 64: 1}[width]
    assert {b - a for a, b in zip(bench.cycles, bench.cycles[1:], strict=False)} == {rows}
    assert [one.packets for one in bench.done] == [40]


def test_two_flows_by_turns():
    """At a packet a cycle a run is decided while its last packet's decision is on its way into memory."""
    one, other = segments(30, 6), segments(30, 6, ports=(7, 7))
    order = Random(SEED).choices((0, 1), k=50)
    given: list[Given | Wait] = [(other if turn else one).pop(0) for turn in order if (other if turn else one)]
    bench = Bench(64, seed=1, pauses=False, dense=True)
    check(bench, given)
    assert {b - a for a, b in zip(bench.cycles, bench.cycles[1:], strict=False)} == {1}
    assert len(bench.done) == 2


@pytest.mark.parametrize("size, outer, most", [(1679, 0, 39), (1678, 39, 39), (1678, 40, 38)])
def test_longest(size, outer, most):
    """65,535 bytes from the outer IP header on; or of the bare frame, which a buffer of 64 KB holds."""
    bench = Bench(64, seed=1, pauses=False)
    check(bench, list(segments(41, size, outer=outer, tunnel=1 if outer else None)))
    assert [one.packets for one in bench.done] == [most, 41 - most]


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("size, merged", [(48, True), (56, False)])
def test_deepest_headers(width, size, merged):
    """122 bytes of headers are compared; 130 are more than the rows hold."""
    ip = {"extensions": [(60, extension(size))]}
    frames = [tcp_frame(6, bytes(9), sequence=1 + 9 * n, ip=ip) for n in range(6)]
    assert parse(frames[0]).header_length == 74 + size
    bench = Bench(width, seed=1)
    check(bench, [Given(finish(parse(frame))) for frame in frames])
    assert [one.packets for one in bench.done] == ([6] if merged else [1] * 6)


def test_no_idle_time():
    """With `idle` 0 nothing waits, so nothing is merged."""
    given = segments(20, 6)
    bench = Bench(8, seed=1, idle=0)
    bench.run([*given, Wait()])
    assert [one.frame for one in bench.frames()] == [one.frame for one in given]


@pytest.mark.parametrize("width", [8, 64])
def test_flush_under_load(width):
    """With `flush` all runs end soon, whatever comes; no packet is lost."""
    given = [one for one in traffic(Random(SEED + width), PACKETS, 6) if isinstance(one, Given)]
    bench = Bench(width, seed=SEED, flush=True)
    bench.run([*given, Wait()])
    assert sum(one.packets for one in bench.done) == len(given)
    assert bench.at_wait[-1][2:] == (0, 0)
    bench.frames()


def test_reasons_are_kept():
    """A drop has its reason, and a packet for the slow path, too, though it is handed up."""
    frame = segments(1, 6)[0].frame
    reasons = [RxReason.RUNT, RxReason.ECN, RxReason.STT_HEADER]
    given = [Given(frame, reason=int(reason)) for reason in reasons] + [Given(frame, reason=2, slow=True, tos=3)]
    bench = Bench(8, seed=1)
    check(bench, list(given))
    assert [one.reason for one in bench.done] == [*reasons, 2]
    assert [one.slow for one in bench.done] == [0, 0, 0, 1]
