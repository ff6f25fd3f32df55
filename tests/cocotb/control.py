"""What only a hand on every cycle can bring about: order under pressure, stalls within a packet, resets in traffic."""

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import cocotb

from sim.card.traffic import Frame
from tests.cocotb.bench import WIDTH, Bench, case
from tests.cocotb.pauses import always, in_bursts, never, now_and_then
from tests.path.against_model import expect
from tests.support.frames import samples, tcp_frame, udp_frame
from tests.support.networks import MIXED, MIXED_TUNNELS

VPORTS = len(MIXED_TUNNELS) + 1  # behind every tunnel, and one at the uplink
MARK = re.compile(rb"mark(.)(..)", re.DOTALL)
STUCK = 600  # cycles without a beat from the host: all queues are full, not just one of them busy


def marked(random: Random, vport: int, number: int, *, ack: bool) -> Frame:
    """A pure ACK or a super-segment with "mark", the vport and a running number in its headers and all of its data.

    Every packet of the frame has a whole mark somewhere, pieces of STT frames included.
    """
    mark = b"mark" + vport.to_bytes(1, "big") + number.to_bytes(2, "big")
    options = b"\xfd\x0c" + mark + b"\1\1\1"  # an experimental option of 12 bytes
    while True:
        payload = b"" if ack else mark * random.randint(150, 600)
        frame = Frame(tcp_frame(random.choice((4, 6)), payload, options=options), vport, random.randint(300, 1360))
        packets, _ = expect(MIXED, [frame])
        if packets and all(MARK.search(packet) for packet in packets):
            return frame


@case
async def an_ack_never_overtakes(dut: Any) -> None:
    """Super-segment, ACK, super-segment, ACK ... from every vport at once: each vport's packets leave in order.

    Seen from the packets alone; only then is everything compared with the model.
    """
    bench = Bench(dut, "order")
    random = bench.random
    await bench.reset()
    await bench.program(MIXED)
    bench.wire.pause = in_bursts(random, longest=400)
    count = [0] * VPORTS
    frames = []
    for _ in range(100):
        vport = random.randrange(VPORTS)
        frames.append(marked(random, vport, count[vport], ack=count[vport] % 2 == 1))
        count[vport] += 1
    want, counters = expect(MIXED, frames)
    await bench.start(frames)
    await bench.drain(len(want))

    reached = [-1] * VPORTS
    for packet in bench.wire.packets:
        found = MARK.search(packet.data)
        assert found, "a packet without a mark"
        vport, number = found[1][0], int.from_bytes(found[2], "big")
        assert reached[vport] <= number <= reached[vport] + 1, f"vport {vport}: {number} left after {reached[vport]}"
        reached[vport] = number
    assert reached == [number - 1 for number in count]
    await bench.check(want, counters)


def big(random: Random) -> Iterator[Frame]:
    """Frames that fill the payload ring."""
    while True:
        vport, gso_size = random.randrange(VPORTS), random.randint(600, 1360)
        yield Frame(tcp_frame(random.choice((4, 6)), random.randbytes(random.randint(2000, 9000))), vport, gso_size)


def small(random: Random) -> Iterator[Frame]:
    """Frames that fill the queues."""
    while True:
        yield Frame(udp_frame(random.choice((4, 6)), random.randbytes(random.randint(0, 20))), random.randrange(VPORTS))


def mixture(random: Random, count: int) -> list[Frame]:
    """Good and hostile frames from all vports."""
    return [
        Frame(sample.frame, random.randrange(VPORTS), sample.gso_size, sample.accecn)
        for sample in samples(random.getrandbits(32), count, largest=2500)
    ]


@case
@cocotb.parametrize((("kind", "depths"), [(big, (1, 3, 10)), (small, (1, 1, 2))]))
async def a_long_stall_within_a_packet(dut: Any, kind: Callable[[Random], Iterator[Frame]], depths: list[int]) -> None:
    """The wire stops in the middle of a packet until nothing in the path can move, and longer; nothing is lost.

    It happens three times, when so many beats of a packet were taken.
    """
    bench = Bench(dut, f"stall {kind.__name__}")
    random = bench.random
    await bench.reset()
    await bench.program(MIXED)
    sent: list[Frame] = []
    done = False

    def source() -> Iterator[Frame]:
        for frame in kind(random):
            if done:
                return
            sent.append(frame)
            yield frame

    sending = bench.start(source())
    for depth in depths:
        await bench.cycles(random.randint(1, 3000))
        while bench.wire.inside < depth * WIDTH:
            await bench.edge
        bench.wire.pause = always
        beats = -1
        while bench.host.beats != beats:
            beats = bench.host.beats
            await bench.cycles(STUCK)
        packets = len(bench.wire.packets)
        await bench.cycles(2000)
        assert bench.wire.shown, "`valid` waits for `ready`"
        assert (bench.host.beats, len(bench.wire.packets)) == (beats, packets), "something moved"
        bench.wire.pause = never
    done = True
    await sending
    await bench.check(*expect(MIXED, sent))


@case
async def no_bubble_within_a_packet(dut: Any) -> None:
    """However slow the host is: with `ready` at 1 a packet takes as many cycles as it has beats."""
    bench = Bench(dut, "bubble")
    random = bench.random
    await bench.reset()
    await bench.program(MIXED)
    frames = mixture(random, 60)
    for bench.host.pause in (never, now_and_then(random, 0.9)):
        await bench.start(frames)
    want, counters = expect(MIXED, frames * 2)
    await bench.check(want, counters)
    for packet in bench.wire.packets:
        beats = -(-len(packet.data) // WIDTH)
        cycles = packet.last - packet.first + 1
        assert cycles == beats, f"a packet of {beats} beats took {cycles} cycles"


@case
async def a_reset_in_the_middle(dut: Any) -> None:
    """Reset within a packet, within a frame, with full queues, and within a table's write: then all is as at first."""
    bench = Bench(dut, "reset")
    random = bench.random
    await bench.reset()
    await bench.program(MIXED)

    async def within_a_packet() -> None:
        while not bench.wire.inside:
            await bench.edge

    async def within_a_frame() -> None:
        while bench.host.beats % 100 != 50:
            await bench.edge

    async def with_full_queues() -> None:
        bench.wire.pause = always
        await bench.cycles(6000)

    async def within_a_write() -> None:
        bench.background(bench.program(MIXED))
        await bench.cycles(random.randint(1000, 1100))

    for middle in (within_a_packet, within_a_frame, with_full_queues, within_a_write):
        bench.start(big(random))
        await bench.cycles(random.randint(500, 1500))
        await middle()
        await bench.reset()
        await bench.program(MIXED)
        await bench.drain(0)
        assert not bench.wire.packets, f"reset {middle.__name__}: a packet came out of nowhere"
        frames = mixture(random, 40)
        await bench.start(frames)
        try:
            await bench.check(*expect(MIXED, frames))
        except AssertionError as wrong:
            raise AssertionError(f"reset {middle.__name__}: {wrong}") from None
