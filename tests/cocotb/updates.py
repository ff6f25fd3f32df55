"""Tables rewritten while frames stream: a frame goes by the tables as they were before a write or as they are after it.

::

    cycle      100        200        300            A row is rewritten at 200 and at 300.
    row        A          B          A
    frame 1      |--------------|                   looked up between its first beat and its first packet: A or B
    frame 2                 |----|                  B

Each vport meets one thing that changes, and nothing else depends on it.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Any

import cocotb

from driver import tables
from driver.tables import Write
from hdl.registers.tables import Table
from sim.card.traffic import Frame
from sim.model.card import Card
from sim.model.network import Network, Tunnel
from tests.cocotb.bench import WIDTH, Bench, Received, case
from tests.cocotb.pauses import in_bursts, never, now_and_then
from tests.driver.networks import for_driver
from tests.path.against_model import difference, expect
from tests.support.frames import PEER, Draw, super_segment, tcp_frame, udp_frame
from tests.support.networks import TUNNELS, network

REMOTES = {4: IPv4Address("198.51.100.0"), 6: IPv6Address("fdee:77::ff00")}
KEYS = 0xA50000
NEXT_HOP = bytes.fromhex("0200000000ff")
MOVING = ("gre-v6-csum-key-seq", "nvgre-v4", "vxlan-v6-csum", "geneve-v4-options", "stt-v4-frame", "stt-v6-segment")
FIXED = ("gre-v4", "geneve-v6", "vxlan-v4-pipe")
NAMES = (*MOVING, *FIXED)
PAIR = "vxlan-v4"  # two of them stand behind these: one in use, the other prepared
VERSIONS = 6  # of a pair
FRAMES = 500


@dataclass
class Changing:
    """Something that goes through `networks` in turn, round and round.

    `writes[k]` leads from the state before to state k with its first row; its other rows have nothing to do with k.
    `changes` tells when each state was reached.
    """

    networks: Sequence[Network]
    writes: Sequence[Sequence[Write]]
    changes: list[tuple[int, int]] = field(default_factory=lambda: [(-1, 0)])

    @classmethod
    def between(cls, one: Network, other: Network) -> "Changing":
        """There and back again; the two differ in one row."""
        (there,), (back,) = differences(one, other), differences(other, one)
        return cls((one, other), ([back], [there]))

    @property
    def table(self) -> str:
        return Table(self.writes[0][0].table).name

    async def step(self, bench: Bench) -> None:
        """On to the next state."""
        state = (self.changes[-1][1] + 1) % len(self.networks)
        first, *others = self.writes[state]
        self.changes.append((await bench.write(first), state))
        for write in others:
            await bench.write(write)

    def possible(self, begun: int, left: int) -> list[int]:
        """By which states a frame may have gone that was first seen and left in these cycles."""
        before = [state for cycle, state in self.changes if cycle <= begun]
        return [before[-1], *(state for cycle, state in self.changes if begun < cycle <= left)]


def differences(old: Network, new: Network) -> list[Write]:
    """The rows that make one network into another."""
    both = (tables.writes(for_driver(network), WIDTH) for network in (old, new))
    found = []
    for was, write in zip(*both, strict=True):
        assert was[:2] == write[:2]
        if was != write:
            found.append(write)
    return found


def moved(tunnel: Tunnel, version: int) -> Tunnel:
    """Another endpoint with the same profile."""
    key = None if tunnel.key is None else KEYS + (version << 8)
    remote = ip_address(int(REMOTES[tunnel.version]) + version)
    return replace(tunnel, remote=remote, next_hop=NEXT_HOP, key=key)


def base_network() -> tuple[Network, dict[str, int]]:
    """The network at first, and what changes with the vport that meets it."""
    tunnels = [TUNNELS[name] for name in NAMES]
    tunnels += [moved(TUNNELS[PAIR], version) for version in (0, 1)]
    names = [*(f"tunnel {name}" for name in MOVING), "wildcard", "exact", "vport", "profile", "pair"]
    vports = {name: number for number, name in enumerate(names)}
    gre, geneve, pipe, pair = range(len(MOVING), len(MOVING) + 4)
    forwarding = {(number, None): number for number in range(len(MOVING))} | {
        (vports["wildcard"], None): gre,
        (vports["exact"], None): gre,
        (vports["exact"], PEER): geneve,
        (vports["vport"], None): gre,
        (vports["vport"] + 40, None): geneve,
        (vports["profile"], None): pipe,
        (vports["pair"], None): pair,
    }
    base = replace(network(*tunnels), vports={number: number for number in vports.values()}, forwarding=forwarding)
    return base, vports


def with_tunnel(base: Network, number: int, tunnel: Tunnel) -> Network:
    return replace(base, tunnels=[*base.tunnels[:number], tunnel, *base.tunnels[number + 1 :]])


def with_route(base: Network, key: tuple[int, bytes | None], to: str | int) -> Network:
    return replace(base, forwarding={**base.forwarding, key: to})


def everything() -> dict[str, Changing]:
    """All that changes, in the order of the vports that meet it."""
    base, vports = base_network()
    found = {
        f"tunnel {name}": Changing.between(base, with_tunnel(base, number, moved(base.tunnels[number], 0)))
        for number, name in enumerate(MOVING)
    }
    pipe = NAMES.index("vxlan-v4-pipe")
    other_vnet = replace(base, vports={**base.vports, vports["vport"]: vports["vport"] + 40})
    found["wildcard"] = Changing.between(base, with_route(base, (vports["wildcard"], None), "uplink"))
    found["exact"] = Changing.between(base, with_route(base, (vports["exact"], PEER), "uplink"))
    found["vport"] = Changing.between(base, other_vnet)
    found["profile"] = Changing.between(base, with_tunnel(base, pipe, replace(base.tunnels[pipe], dscp=10)))
    found["pair"] = pair(base, vports["pair"])
    assert [*found] == [*vports]
    return found


def pair(base: Network, vnet: int) -> Changing:
    """The route goes from one tunnel to the other, and the one that nobody uses any more is rewritten at once.

    Nothing may go to what is written there before the route leads back: no lookup meets the old route and the new row.
    """
    first = len(NAMES)
    networks = []
    for version in range(VERSIONS):
        used, spare = first + version % 2, first + (version + 1) % 2
        network = with_route(base, (vnet, None), used)
        network = with_tunnel(network, used, moved(base.tunnels[used], version))
        networks.append(with_tunnel(network, spare, moved(base.tunnels[spare], (version + 1) % VERSIONS)))
    assert not differences(base, networks[0])
    writes = [differences(networks[version - 1], networks[version])[::-1] for version in range(VERSIONS)]
    assert all([write.table for write in rows] == [Table.WILDCARD, Table.TUNNEL] for rows in writes)
    return Changing(networks, writes)


def traffic(random: Random, changing: Sequence[Changing]) -> list[Frame]:
    """Mostly short frames, many of them to the pair, none that is dropped."""
    draw = Draw(random, 2800)
    frames: list[Frame] = []
    while len(frames) < FRAMES:
        vport = random.choice((random.randrange(len(changing)), len(changing) - 1))
        if random.random() < 0.2:
            sample = super_segment(draw)
            frame = Frame(PEER + sample.frame[6:], vport, sample.gso_size, sample.accecn)
        else:
            make = random.choice((tcp_frame, udp_frame))
            frame = Frame(make(random.choice((4, 6)), random.randbytes(random.randint(0, 40))), vport)
        if all(expect(network, [frame])[0] for network in changing[vport].networks):
            frames.append(frame)
    return frames


async def rewrite(bench: Bench, changing: Sequence[Changing], random: Random) -> None:
    """Changes one thing after the other, often directly after each other."""
    while True:
        for one in random.sample(changing, len(changing)):
            await one.step(bench)
            if random.random() < 0.5:
                await bench.cycles(random.randint(1, 100))


def follow(
    changing: Sequence[Changing], frames: Sequence[Frame], begun: Sequence[int], packets: Sequence[Received]
) -> list[set[int]]:
    """Finds for each frame in turn the state that explains its packets; the states seen by each vport.

    Raises AssertionError for a frame that none explains.
    """
    model, at = Card(changing[0].networks[0]), 0
    seen: list[set[int]] = [set() for _ in changing]
    for number, (frame, begin) in enumerate(zip(frames, begun, strict=True)):
        one, came = changing[frame.vport], packets[at:]
        assert came, f"frame {number} of {len(frames)} is lost"
        wrong = []
        for state in one.possible(begin, came[0].first):
            trial = replace_network(model, one.networks[state])
            want = trial.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
            said = difference(came[: len(want)], want)  # type: ignore[arg-type]
            if not said:
                model, at = trial, at + len(want)
                seen[frame.vport].add(state)
                break
            wrong.append(f"not by state {state}: {said}")
        else:
            raise AssertionError(f"frame {number} (vport {frame.vport}, {one.table}): {'; '.join(wrong)}")
    assert at == len(packets), f"{len(packets) - at} packets too many"
    return seen


def replace_network(card: Card, network: Network) -> Card:
    """A copy of a card, its running numbers and counters, with other tables."""
    return deepcopy(card, {id(card.network): network})


@case
@cocotb.parametrize(pauses=["never", "bursts", "slow_host"])
async def before_or_after(dut: Any, pauses: str) -> None:
    """Tunnels, routes, vports and profiles rewritten all the time; nothing is mixed, nothing is lost.

    Without pauses the queues are full. With a slow host they are empty, and a frame's lookup is known to a few cycles.
    """
    bench = Bench(dut, f"updates {pauses}")
    random = bench.random
    found = everything()
    changing = list(found.values())
    await bench.reset()
    await bench.program(changing[0].networks[0])
    bench.host.pause, bench.wire.pause = {
        "never": (never, never),
        "bursts": (in_bursts(random), in_bursts(random)),
        "slow_host": (now_and_then(random, 0.5), never),
    }[pauses]
    frames = traffic(random, changing)
    writing = bench.background(rewrite(bench, changing, random))
    await bench.start(frames)
    writing.cancel()
    await bench.drain(0)
    seen = follow(changing, frames, bench.host.begun, bench.wire.packets)
    for name, one, states in zip(found, changing, seen, strict=True):
        cocotb.log.info("%s: %d changes, states seen: %s", name, len(one.changes) - 1, states)
        assert len(states) > 1, f"{name}: it was never seen to change; the test is too short"
    counters = await bench.counters()
    assert counters["frames_sent"] == counters["frames_in"] == len(frames), counters
    assert counters["packets_out"] == len(bench.wire.packets), counters
