"""Tables rewritten while frames stream: every frame goes by a row as it was or as it is, and by the right one of both.

::

    cycle      100        200        300            A row is rewritten at 200 and at 300.
    row        A          B          A
    frame 1      |--------------|                   looked up between its first beat and its first packet: A or B
    frame 2                 |----|                  B

A vport for each table. Its two networks differ in one row only, and nothing else depends on that row.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

import cocotb

from driver import tables
from driver.tables import Write
from hdl.registers.tables import Table
from sim.card.traffic import Frame
from sim.model.card import Card
from sim.model.network import Network, Tunnel
from tests.cocotb.bench import WIDTH, Bench, Received
from tests.cocotb.pauses import Pause, in_bursts, never
from tests.driver.networks import for_driver
from tests.path.against_model import difference, expect
from tests.support.frames import PEER, Draw, datagram, small, super_segment
from tests.support.networks import TUNNELS, network

REMOTES = {4: IPv4Address("198.51.100.77"), 6: IPv6Address("fdee:77::ff77")}
NEXT_HOP = bytes.fromhex("0200000000ff")
MOVING = ("gre-v6-csum-key-seq", "nvgre-v4", "vxlan-v6-csum", "geneve-v4-options", "stt-v4-frame", "stt-v6-segment")
FIXED = ("gre-v4", "vxlan-v4-pipe", "geneve-v6")  # where routes and vports lead
PIPE = "vxlan-v4-pipe"
FRAMES = 400


def moved(tunnel: Tunnel) -> Tunnel:
    """Another endpoint with the same profile."""
    key = None if tunnel.key is None else tunnel.key ^ 0xA500
    return replace(tunnel, remote=REMOTES[tunnel.version], next_hop=NEXT_HOP, key=key)


def states() -> dict[str, tuple[Network, Network]]:
    """What is rewritten, and the two networks that differ in it. The vport is the place in this dictionary."""
    names = (*MOVING, *FIXED)
    gre, pipe, geneve = (names.index(name) for name in FIXED)
    repiped = names.index(PIPE)
    base = network(*(TUNNELS[name] for name in names))
    ports = range(len(MOVING) + 4)
    route, exact, vport, profile = ports[-4:]
    forwarding = {(k, None): k for k in range(len(MOVING))} | {
        (route, None): gre,
        (exact, None): gre,
        (exact, PEER): geneve,
        (vport, None): gre,
        (vport + 40, None): geneve,
        (profile, None): pipe,
    }
    base = replace(base, vports={k: k for k in ports}, forwarding=forwarding)

    def other_tunnel(k: int, tunnel: Tunnel) -> Network:
        return replace(base, tunnels=[*base.tunnels[:k], tunnel, *base.tunnels[k + 1 :]])

    found = {f"tunnel {names[k]}": other_tunnel(k, moved(base.tunnels[k])) for k in range(len(MOVING))}
    found["wildcard route"] = replace(base, forwarding={**forwarding, (route, None): "uplink"})
    found["exact route"] = replace(base, forwarding={**forwarding, (exact, PEER): "uplink"})
    found["vport"] = replace(base, vports={**base.vports, vport: vport + 40})
    found["profile"] = other_tunnel(repiped, replace(base.tunnels[repiped], dscp=10))
    return {name: (base, other) for name, other in found.items()}


@dataclass
class Row:
    """A row that changes between two values; `changes`: when, and to which of the two."""

    networks: tuple[Network, Network]
    writes: tuple[Write, Write]
    changes: list[tuple[int, int]] = field(default_factory=lambda: [(-1, 0)])

    @classmethod
    def of(cls, networks: tuple[Network, Network]) -> "Row":
        both = (tables.writes(for_driver(network), WIDTH) for network in networks)
        (write,) = ((a, b) for a, b in zip(*both, strict=True) if a != b)  # one row, or it could not be atomic
        assert write[0][:2] == write[1][:2]
        return cls(networks, write)

    def possible(self, begun: int, left: int) -> list[int]:
        """By which values a frame may have gone that was first seen and left in these cycles, the likely one first."""
        before = [state for cycle, state in self.changes if cycle <= begun]
        return [before[-1], *(state for cycle, state in self.changes if begun < cycle <= left)]


async def rewrite(bench: Bench, rows: Sequence[Row], random: Random) -> None:
    """Changes rows for ever, often one directly after the other."""
    while True:
        row = random.choice(rows)
        state = 1 - row.changes[-1][1]
        row.changes.append((await bench.write(row.writes[state]), state))
        if random.random() < 0.5:
            await bench.cycles(random.randint(1, 300))


def follow(
    rows: Sequence[Row], frames: Sequence[Frame], begun: Sequence[int], packets: Sequence[Received]
) -> list[set[int]]:
    """Finds for each frame in turn the state of its row that explains its packets; the states seen of each row.

    Raises AssertionError for a frame that none explains.
    """
    model, at = Card(rows[0].networks[0]), 0
    seen: list[set[int]] = [set() for _ in rows]
    for number, (frame, begin) in enumerate(zip(frames, begun, strict=True)):
        row, came = rows[frame.vport], packets[at:]
        assert came, f"frame {number} of {len(frames)} is lost"
        wrong = []
        for state in row.possible(begin, came[0].first):
            trial = replace_network(model, row.networks[state])
            want = trial.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn)
            assert want, f"frame {number} does not go out: {trial.last_drop}"
            said = difference(came[: len(want)], want)  # type: ignore[arg-type]
            if not said:
                model, at = trial, at + len(want)
                seen[frame.vport].add(state)
                break
            wrong.append(f"not by state {state}: {said}")
        else:
            raise AssertionError(f"frame {number}, {Table(row.writes[0].table).name} row rewritten: {'; '.join(wrong)}")
    assert at == len(packets), f"{len(packets) - at} packets too many"
    return seen


def replace_network(card: Card, network: Network) -> Card:
    """A copy of a card, its running numbers and counters, with other tables."""
    other = deepcopy(card, {id(card.network): network})
    other.network = network
    return other


@cocotb.test()
@cocotb.parametrize(pauses=["never", "in_bursts"])
async def a_row_is_old_or_new(dut: Any, pauses: str) -> None:
    """Tunnels, routes, vports and profiles rewritten all the time; nothing is mixed, nothing is lost or late."""
    bench = Bench(dut, f"updates {pauses}")
    random = bench.random
    both = states()
    rows = [Row.of(networks) for networks in both.values()]
    await bench.reset()
    await bench.program(rows[0].networks[0])
    pause: tuple[Pause, Pause] = (in_bursts(random), in_bursts(random)) if pauses == "in_bursts" else (never, never)
    bench.host.pause, bench.wire.pause = pause
    draw = Draw(random, 2800)
    frames = []
    while len(frames) < FRAMES:
        vport = random.randrange(len(rows))
        sample = random.choice((small, datagram, super_segment))(draw)
        frame = Frame(PEER + sample.frame[6:], vport, sample.gso_size, sample.accecn)
        if all(expect(network, [frame])[0] for network in rows[vport].networks):
            frames.append(frame)

    writing = bench.background(rewrite(bench, rows, random))
    await bench.start(frames[:-50])
    writing.cancel()
    await bench.edge
    await bench.start(frames[-50:])  # by the rows as they are now, from the first frame on
    await bench.drain(0)
    seen = follow(rows, frames, bench.host.begun, bench.wire.packets)
    for name, row, found in zip(both, rows, seen, strict=True):
        cocotb.log.info("%s: %d changes, states %s seen", name, len(row.changes) - 1, found)
        assert found == {0, 1}, f"{name}: only {found} of its states was seen: the test is too short"
    changes = sum(len(row.changes) - 1 for row in rows)
    assert changes > 100, f"only {changes} changes"
    counters = await bench.counters()
    assert counters["frames_sent"] == counters["frames_in"] == len(frames), counters
    assert counters["packets_out"] == len(bench.wire.packets), counters
