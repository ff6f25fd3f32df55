"""Every encapsulation x inner family x length x options x pauses against the model: packets and counters."""

from random import Random
from typing import Any

import cocotb

from sim.card.traffic import Frame
from sim.model.card import Card
from tests.cocotb.bench import WIDTH, Bench, case
from tests.cocotb.pauses import modes
from tests.support.frames import TCP, UDP, Draw, samples
from tests.support.networks import TUNNELS, mixed

GROUP = 12  # tunnels in the tables at once; each needs a profile of its own
GROUPS = [tuple(TUNNELS)[k : k + GROUP] for k in range(0, len(TUNNELS), GROUP)]
KINDS = ("tcp", "super-segment", "udp")
HOSTILE = 30  # frames of all kinds from all vports, known and unknown


def crossed(random: Random, vport: int, version: int, kind: str) -> Frame:
    """A frame of a kind; options, tags, extension headers and lengths are drawn, edges of beats often."""
    draw = Draw(random, 4000)
    edge = random.randint(0, 3) * WIDTH + random.randint(0, WIDTH)
    accecn = random.random() < 0.3
    if kind == "super-segment":
        gso_size = random.choice((88 + edge, random.randint(88, 1380)))
        payload = random.randbytes(gso_size * random.randint(1, 3) + random.choice((1, edge + 1, gso_size)))
        return Frame(draw.ip(version, TCP, draw.tcp(payload)), vport, gso_size, accecn)
    payload = random.randbytes(random.choice((0, edge, edge, random.randint(0, 1300))))
    inner = draw.tcp(payload) if kind == "tcp" else draw.udp(payload)
    return Frame(draw.ip(version, TCP if kind == "tcp" else UDP, inner), vport, random.choice((0, 1380)), accecn)


@case
@cocotb.parametrize(group=range(len(GROUPS)))
async def against_the_model(dut: Any, group: int) -> None:
    """Each group of tunnels, with every mode of pauses; frames of different tunnels follow each other."""
    bench = Bench(dut, f"encapsulations {group}")
    random, network = bench.random, mixed(GROUPS[group])
    await bench.reset()
    await bench.program(network)
    model, since = Card(network), 0
    for mode, (bench.host.pause, bench.wire.pause) in modes(random).items():
        frames = [
            crossed(random, vport, version, kind)
            for vport in range(GROUP + 1)  # the last one's go to the uplink
            for version in (4, 6)
            for kind in KINDS
        ]
        frames += [
            Frame(sample.frame, random.randrange(len(network.vports) + 2), sample.gso_size, sample.accecn)
            for sample in samples(random.getrandbits(32), HOSTILE, largest=2500)
        ]
        random.shuffle(frames)
        cocotb.log.info("%s: %d frames", mode, len(frames))
        want = [
            packet
            for frame in frames
            for packet in model.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
        ]
        await bench.start(frames)
        try:
            await bench.check(want, model.counters, since=since)
        except AssertionError as wrong:
            raise AssertionError(f"{mode}: {wrong}") from None
        since += len(want)
