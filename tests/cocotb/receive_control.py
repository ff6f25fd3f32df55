"""The receive path with a hand on every cycle: pauses on every stream, long stalls, resets in traffic."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import cocotb

from hdl.registers.receive import RxReason
from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from tests.cocotb.bench import WIDTH, case
from tests.cocotb.pauses import Pause, always, in_bursts, never, now_and_then
from tests.cocotb.receive_bench import ReceiveBench
from tests.path.receive_against_model import SHORTEST
from tests.support.frames import samples, tcp_frame, udp_frame
from tests.support.mutations import changed
from tests.support.networks import MIXED, MIXED_TUNNELS
from tests.support.receivers import KNOWN, far_end

VNETS = len(MIXED_TUNNELS)
STUCK = 1500  # cycles without a beat from the line: all queues are full, not just one of them busy
ENTRIES = {(one.encapsulation, one.local, one.key): one for one in MIXED.tunnels}


def settings() -> ReceiveSettings:
    """Every tunnel of MIXED ends in a vnet of its own; two vports a vnet; the uplink is the last vnet's; no host."""
    entries = [far_end(tunnel, vnet=vnet) for vnet, tunnel in enumerate(ENTRIES.values())]
    vports = {number: Vport(number % VNETS, queues=4) for number in range(2 * VNETS)}
    terminate = Settings(entries, options=KNOWN, uplink={None: VNETS - 1})
    return ReceiveSettings(terminate, Limits(), Steering(vports, dict.fromkeys(range(VNETS), "flood")))


SETTINGS = settings()


def padded(packets: Iterator[bytes]) -> Iterator[bytes]:
    return (packet.ljust(SHORTEST, b"\0") for packet in packets)


def mixture(random: Random, count: int) -> list[bytes]:
    """Packets of `count` frames, good and hostile, through all tunnels; a third of them changed."""
    sender = Card(MIXED)
    packets = [
        packet
        for sample in samples(random.getrandbits(32), count, largest=2500)
        for packet in sender.transmit(
            sample.frame, vport=random.randrange(VNETS), gso_size=sample.gso_size, accecn=sample.accecn
        )
    ]
    return list(padded(changed(random, packet)[:2000] if random.random() < 0.3 else packet for packet in packets))


def writes(random: Random) -> Iterator[bytes]:
    """Super-segments of one flow a tunnel, cut, packet by packet by turns: frames are open in every tunnel."""
    sender, at = Card(MIXED), [0] * VNETS
    waiting: list[list[bytes]] = [[] for _ in range(VNETS)]
    while True:
        vport = random.randrange(VNETS)
        if not waiting[vport]:
            payload = random.randbytes(random.randint(3000, 9000))
            frame = tcp_frame(4, payload, sequence=at[vport], ports=(1000 + vport, 80))
            waiting[vport] = sender.transmit(frame, vport=vport, gso_size=1200)
            at[vport] += len(payload)
        yield waiting[vport].pop(0).ljust(SHORTEST, b"\0")


def datagrams(random: Random) -> Iterator[bytes]:
    """Short packets that are never merged: each is a delivery, so that the queues of those fill."""
    sender = Card(MIXED)
    while True:
        frame = udp_frame(4, random.randbytes(random.randint(0, 40)))
        for packet in sender.transmit(frame, vport=random.randrange(VNETS)):
            yield packet.ljust(SHORTEST, b"\0")


def modes(random: Random) -> dict[str, dict[str, Pause]]:
    """Pauses by stream, by name."""

    def half() -> Pause:
        return now_and_then(random, 0.5)

    return {
        "no pauses": {},
        "line pauses": {"line": half()},
        "placement pauses": {"place": half()},
        "delivery pauses": {"delivery": now_and_then(random, 0.9)},
        "buffers pause": {"buffer": half()},
        "all pause": {name: in_bursts(random, 20) for name in ("line", "place", "delivery", "buffer")},
    }


def pause(bench: ReceiveBench, line: Pause = never, **memory: Pause) -> None:
    """From now on these streams pause so, all others never."""
    bench.line.pause = line
    for name in ("place", "delivery", "buffer"):
        setattr(bench.memory, f"{name}_pause", memory.get(name, never))


@case
@cocotb.parametrize(mode=list(modes(Random())))
async def against_the_model(dut: Any, mode: str) -> None:
    """Every delivery, counter and open frame, whichever streams pause."""
    bench = ReceiveBench(dut, f"modes {mode}")
    await bench.reset()
    await bench.program(SETTINGS)
    packets = mixture(bench.random, 70)
    pause(bench, **modes(bench.random)[mode])
    await bench.start(packets)
    await bench.check(SETTINGS, packets)


@case
@cocotb.parametrize(stream=["place", "delivery"])
async def a_long_stall(dut: Any, stream: str) -> None:
    """The host takes nothing on a stream until nothing in the path can move, and longer; then nothing is lost."""
    bench = ReceiveBench(dut, f"stall {stream}")
    random = bench.random
    await bench.reset()
    await bench.program(SETTINGS)
    sent: list[bytes] = []
    done = False

    def source() -> Iterator[bytes]:
        for packet in {"place": writes, "delivery": datagrams}[stream](random):
            if done:
                return
            sent.append(packet)
            yield packet

    sending = bench.start(source())
    for _ in range(2):
        await bench.cycles(random.randint(500, 3000))
        while stream == "place" and not bench.memory.inside:
            await bench.edge
        pause(bench, **{stream: always})
        beats = -1
        while bench.line.beats != beats:
            beats = bench.line.beats
            await bench.cycles(STUCK)
        assert bench.memory.shown[stream], "`valid` waits for `ready`"
        pause(bench)
    done = True
    await sending
    await bench.check(SETTINGS, sent)


@case
async def no_buffers(dut: Any) -> None:
    """While the host gives no buffers, packets that need one are dropped and counted; then all is as before."""
    bench = ReceiveBench(dut, "no buffers")
    await bench.reset()
    await bench.program(SETTINGS)
    packets = mixture(bench.random, 60)
    pause(bench, buffer=always)
    await bench.start(packets)
    await bench.drain()
    held = dut.held.value.to_unsigned()
    assert bench.memory.lost[RxReason.NO_BUFFER]
    assert sum(bench.memory.lost.values()) + held + sum(one.packets for one in bench.memory.deliveries) == len(packets)
    pause(bench)
    before = len(bench.memory.deliveries)
    more = list(padded(Card(MIXED).transmit(tcp_frame(4, bytes(n))).pop() for n in range(1, 30)))
    await bench.start(more)
    await bench.drain()
    assert sum(one.packets for one in bench.memory.deliveries[before:]) == len(more)


def within_a_packet(bench: ReceiveBench) -> bool:
    return bench.line.inside > 0


def within_a_placement(bench: ReceiveBench) -> bool:
    return bench.memory.inside


def with_open_frames(bench: ReceiveBench) -> bool:
    return bool(bench.dut.open.value.to_unsigned() > VNETS // 2)


MIDDLES: dict[str, Callable[[ReceiveBench], bool]] = {
    "within a packet": within_a_packet,
    "within a placement": within_a_placement,
    "with open frames": with_open_frames,
}


async def stalled(bench: ReceiveBench, stream: str) -> None:
    """For so long that many wait, but not all queues need be full."""
    pause(bench, **{stream: always})
    await bench.cycles(2500)


async def afterwards(bench: ReceiveBench, when: str) -> None:
    """After a reset nothing of what was comes out, and all that follows is as the model has it, counters from 0 on."""
    await bench.program(SETTINGS)
    await bench.drain()
    assert not bench.memory.deliveries and not bench.memory.lost, f"reset {when}: something came out of nowhere"
    assert not bench.memory.placed, f"reset {when}: a placement came out of nowhere"
    assert not bench.dut.held.value.to_unsigned() and not bench.dut.open.value.to_unsigned(), f"reset {when}: open"
    counters = {counter.name: value for counter, value in (await bench.counters()).items() if value}
    assert not counters, f"reset {when}: counters {counters}"
    packets = mixture(bench.random, 25)
    turns = writes(bench.random)
    packets += [next(turns) for _ in range(60)]  # enough to come by every context that was in use
    await bench.start(packets)
    try:
        await bench.check(SETTINGS, packets)
    except AssertionError as wrong:
        raise AssertionError(f"reset {when}: {wrong}") from None


@case
@cocotb.parametrize(when=[*MIDDLES, "with placements stalled", "with deliveries stalled", "within a write"])
async def a_reset_in_the_middle(dut: Any, when: str) -> None:
    """Frames that a reset cuts off vanish whole; then the path is as it was at first."""
    bench = ReceiveBench(dut, f"reset {when}")
    random = bench.random
    await bench.reset()
    await bench.program(SETTINGS)
    for _ in range(2):
        bench.start(writes(random))
        await bench.cycles(random.randint(700, 1500))
        if when in MIDDLES:
            while not MIDDLES[when](bench):
                await bench.edge
        elif when == "within a write":
            bench.background(bench.program(SETTINGS))
            await bench.cycles(random.randint(100, 140))
        else:
            await stalled(bench, "place" if when == "with placements stalled" else "delivery")
        await bench.reset()
        await afterwards(bench, when)
        await bench.reset()
        await bench.program(SETTINGS)


@case
async def a_reset_while_contexts_make_room(dut: Any) -> None:
    """All contexts in use, each flow's frame open: none of them comes out of a slot that is used again."""
    bench = ReceiveBench(dut, "reset full")
    sender = Card(MIXED)
    await bench.reset()
    await bench.program(SETTINGS)
    flows = range(bench.config.contexts + 16)

    def packets(start: int) -> list[bytes]:
        frames = (tcp_frame(4, bytes(40), sequence=1, ports=(start + flow, 80)) for flow in flows)
        return list(padded(packet for frame in frames for packet in sender.transmit(frame)))

    await bench.start(packets(1000))
    await bench.settle()
    assert dut.open.value.to_unsigned() == bench.config.contexts
    await bench.reset()
    await bench.program(SETTINGS)
    sent = packets(5000)
    await bench.start(sent)
    await bench.check(SETTINGS, sent)
    assert WIDTH and bench.memory.claimed < 100, "buffers are not given back"
