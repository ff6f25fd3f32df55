"""Three parts become packets: the bytes are right, and none of the line's cycles is lost."""

import random

import pytest

from hdl.config import NicConfig
from hdl.tx.egress import Egress
from tests.hdl.stream.drive import beats, receive, repeat, run
from tests.hdl.tx.packets import Traffic, fill, random_template, random_traffic, send_behind

SEED = 14


class PacketKeeper:
    """Gathers packets and compares each with the oracle's."""

    def __init__(self, width, packets):
        self.width, self.packets = width, packets
        self.done, self.gathered = 0, b""
        self.cycles, self.gaps = [], 0

    def __call__(self, cycle, beat):
        if self.gathered and cycle != self.cycles[-1] + 1:
            self.gaps += 1
        self.cycles.append(cycle)
        assert beat.last or beat.bytes == self.width
        self.gathered += beat.data.to_bytes(self.width, "little")[: beat.bytes]
        if beat.last:
            expected = self.packets[self.done]
            assert self.gathered == expected, (
                f"packet {self.done}: {self.gathered.hex()} is not {expected.hex()}; "
                + repeat("tests/hdl/tx/test_egress.py", SEED)
            )
            self.done += 1
            self.gathered = b""
        return self.done == len(self.packets)


def simulate(width, traffic, rng, *, pause=0.0, record_pause=0.0, delay=0):
    """Run `traffic` through an egress; `delay`: cycles before the first record comes."""
    config = NicConfig(name="test", width=width, clock_hz=200_000_000)
    dut = Egress(config, header_margin=4, payload_margin=4)
    keep = PacketKeeper(width, traffic.packets)
    headers, payloads = [0], [0]
    loaded = [0]

    async def templates(ctx):
        for profile, template in traffic.templates.items():
            for beat, row in enumerate(template.rows(width)):
                ctx.set(dut.template_write, 1)
                ctx.set(dut.template_row, profile * (128 // width) + beat)
                ctx.set(dut.template_i.as_value(), row)
                await ctx.tick()
        ctx.set(dut.template_write, 0)
        await ctx.tick().repeat(delay + 1)
        loaded[0] = 1

    async def outer(ctx):
        await send_behind(ctx, dut.outer, traffic.outer, [1] * len(traffic.outer), loaded, rng=rng, pause=record_pause)

    async def header(ctx):
        while not loaded[0]:
            await ctx.tick()
        await send_behind(ctx, dut.header, traffic.header, traffic.header_until, headers, rng=rng, pause=record_pause)

    async def payload(ctx):
        while not loaded[0]:
            await ctx.tick()
        until = traffic.payload_until
        await send_behind(ctx, dut.payload, traffic.payload, until, payloads, rng=rng, pause=record_pause)

    async def header_ring(ctx):
        await fill(
            ctx,
            write=dut.header_write,
            i=dut.header_i,
            space=dut.header_space,
            rows=traffic.header_rows,
            written=headers,
        )

    async def payload_ring(ctx):
        rows = beats(bytes(traffic.payload_bytes), width)
        await fill(ctx, write=dut.payload_write, i=dut.payload_i, space=dut.payload_space, rows=rows, written=payloads)

    async def sink(ctx):
        await receive(ctx, dut.o, keep, rng=rng, pause=pause)

    run(dut, templates, outer, header, payload, header_ring, payload_ring, sink)
    return keep


@pytest.mark.parametrize(
    "width, pause, record_pause",
    [(8, 0.0, 0.0), (8, 0.4, 0.0), (8, 0.0, 0.7), (16, 0.3, 0.5), (32, 0.0, 0.0), (64, 0.0, 0.0), (64, 0.4, 0.3)],
)
def test_packets(width, pause, record_pause):
    rng = random.Random(SEED + width)
    traffic = random_traffic(rng, width, 20)
    keep = simulate(width, traffic, rng, pause=pause, record_pause=record_pause)
    assert len(keep.cycles) == sum(-(-len(packet) // width) for packet in traffic.packets)


@pytest.mark.parametrize(
    "width, outer_words, header_words, pieces, strip",
    [
        (8, 0, 21, [18], False),  # bare 60-byte frames
        (8, 0, 7, [46], False),
        (8, 0, 27, [], False),  # no payload at all
        (8, 21, 27, [6], False),  # the smallest through GRE with a key
        (8, 25, 27, [301, 301, 77], False),
        (8, 43, 33, [3, 5, 64], True),
        (16, 21, 27, [60, 60, 5], False),
        (64, 0, 21, [18], False),  # one beat a packet
        (64, 25, 27, [200, 200, 9], False),
    ],
)
def test_every_cycle_carries_a_beat(width, outer_words, header_words, pieces, strip):
    """Records wait and the wire is ready: one beat a cycle, no gap inside a packet or between packets."""
    rng = random.Random(SEED)
    traffic = Traffic(width)
    traffic.templates[0] = random_template(rng, 64)
    for _ in range(40 // max(1, len(pieces))):
        traffic.frame(rng, outer_words=outer_words, header_words=header_words, strip=strip, pieces=list(pieces))
    keep = simulate(width, traffic, rng, delay=300)
    assert keep.gaps == 0
    lost = keep.cycles[-1] - keep.cycles[0] + 1 - len(keep.cycles)
    assert lost == 0, f"{lost} cycles of {len(keep.cycles)} lost"


@pytest.mark.parametrize("seed", [1, 2])
def test_no_gap_in_mixed_traffic(seed):
    """At 8 bytes, whatever comes after whatever: nothing stops a packet that has begun."""
    rng = random.Random(seed)
    traffic = Traffic(8)
    traffic.templates[0] = random_template(rng, 64)
    for _ in range(40):
        traffic.frame(
            rng,
            outer_words=rng.choice([0, 0, 19, 21, 25, 43, 64]),
            header_words=rng.choice([7, 9, 27, 29, 33]),
            strip=False,
            pieces=[rng.randint(1, 60) for _ in range(rng.randint(1, 3))],
        )
    keep = simulate(8, traffic, rng, delay=600)
    assert keep.gaps == 0, repeat("tests/hdl/tx/test_egress.py", seed)
