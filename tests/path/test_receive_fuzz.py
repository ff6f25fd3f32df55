"""Packets of every encapsulation, changed in every way: the compiled receive path does with each what the model does.

::

    frames, good and hostile ─> the model's sender ─> changed, lost, doubled, late ─┬─> model ────┬─ the same?
                                                                                    └─> the card ─┘

A batch is a card with tables of its own and `BATCH` changed packets, with half as many good ones between them.
20,000 changed packets are part of `make test`, a million of `make test-full`.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from sim.card.traffic import Frame
from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.network import Network
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.steer import UNKNOWN_UNICAST, Steering, Vport
from sim.model.receive.terminate import Settings, Terminate
from tests.path.receive_against_model import check
from tests.support.frames import ACK, PEER, PSH, samples, tcp_frame
from tests.support.mutations import changed, disordered, mutate
from tests.support.networks import ENDS, TUNNELS, mixed
from tests.support.receivers import KNOWN, far_end

BATCH = 2000  # changed packets
SOME, ALL = range(10), range(500)  # batches
WIDE_SOME, WIDE_ALL = range(2), range(20)  # at 64 bytes a beat, where the simulation is slower
LONGEST = 9400  # bytes: more than the card takes
VPORTS = 24
HOST = 63  # takes the slow path


def tunnels_of(random: Random) -> tuple[str, ...]:
    """All tunnels in any order, but either NVGRE or GRE with a key at an address: on the wire they are one."""
    keyed = {version: random.choice(("nvgre", "key")) for version in ENDS}
    names = [
        name
        for name in TUNNELS
        if not any(
            f"v{version}" in name and other in name
            for version, kind in keyed.items()
            for other in {"nvgre": ("key",), "key": ("nvgre",)}[kind]
        )
    ]
    random.shuffle(names)
    return tuple(names)


def entries_of(random: Random, network: Network) -> list[Terminate]:
    """The far ends of most tunnels, each a vnet, with any rules; some take packets of another peer only."""
    entries: dict[tuple[str, Any, int | None], Terminate] = {}
    for tunnel in network.tunnels:
        more: dict[str, Any] = {"dscp": random.choice(("pipe", "uniform"))}
        if tunnel.encapsulation in ("vxlan", "geneve"):
            more["udp_checksum"] = random.choice((None, "optional", "optional", "required"))
        stranger = type(tunnel.local)(int(tunnel.local) + 1)
        more["remote"] = random.choice((None, None, None, tunnel.local, tunnel.local, stranger))
        entry = far_end(tunnel, vnet=random.randrange(VPORTS // 2), **more)
        entries.setdefault((entry.encapsulation, entry.local, entry.key), entry)
    found = list(entries.values())
    return random.sample(found, len(found) - random.choice((0, 0, 1)))


def steering_of(random: Random) -> Steering:
    """Two vports a vnet and more, one with the address that most frames are for, with any wishes."""
    vports = {HOST: Vport(HOST)}
    for number in range(VPORTS):
        vnet, first = number % (VPORTS // 2), number < VPORTS // 2
        vports[number] = Vport(
            vnet,
            mac=random.choice((PEER, PEER, PEER, None) if first else (random.randbytes(6)[1:].rjust(6, b"\2"), None)),
            receive_mtu=random.choice((1500, 9000, 65535, 65535)),
            queues=random.randint(1, 16),
            drop_bad_checksum=random.random() < 0.3,
            multicast=random.random() < 0.7,
        )
    policies = {vnet: random.choice(UNKNOWN_UNICAST) for vnet in range(VPORTS // 2)}
    slow = random.random() < 0.5
    policies = {vnet: "drop" if policy == "slow_path" and not slow else policy for vnet, policy in policies.items()}
    return Steering(vports, policies, HOST if slow else None)


def settings_of(random: Random, network: Network) -> ReceiveSettings:
    steer = steering_of(random)
    uplinks: tuple[dict[int | None, int], ...] = ({}, {None: 0}, {100: 1}, {None: 0, 100: 1, 4094: 2})
    uplink = random.choice(uplinks)
    terminate = Settings(
        entries_of(random, network),
        uplink,
        slow_path=steer.slow_path is not None,
        options=random.choice((KNOWN, frozenset())),
    )
    return ReceiveSettings(terminate, Limits(), steer)


def frames_of(random: Random, ports: int) -> Iterator[Frame]:
    """Frames of all kinds, some of them changed, between writes of flows that can be merged."""
    flows = [(port, 4 + 2 * random.getrandbits(1)) for port in random.sample(range(ports), min(ports, 6))]
    at = [random.getrandbits(32) for _ in flows]
    while True:
        for sample in samples(random.getrandbits(48), 20, largest=random.choice((1400, 1400, 6000))):
            data = mutate(random, sample.frame or b"\0") if random.random() < 0.15 else sample.frame
            yield Frame(data, random.randrange(ports), sample.gso_size, sample.accecn)
            if random.random() < 0.4:
                number = random.randrange(len(flows))
                port, version = flows[number]
                payload = random.randbytes(random.choice((1, 600, 1200, 2400, 5000)))
                more = {"flags": random.choice((ACK, ACK, ACK | PSH)), "ports": (1000 + number, 80)}
                yield Frame(tcp_frame(version, payload, sequence=at[number], **more), port, 600)  # type: ignore[arg-type]
                at[number] = at[number] + len(payload) & 0xFFFFFFFF


def packets_of(random: Random, network: Network, count: int) -> list[bytes]:
    """What a sender sends, two thirds of its packets changed, in the order of coming; `count` changed ones."""
    sender, packets, left = Card(network), [], count
    for frame in frames_of(random, len(network.vports)):
        for packet in sender.transmit(frame.data, vport=frame.vport, gso_size=frame.gso_size, accecn=frame.accecn):
            if random.random() < 2 / 3:
                packet = changed(random, packet)
                left -= 1
            packets.append(packet[:LONGEST])
        if left <= 0:
            return disordered(random, packets)
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("width", "batch"),
    [
        pytest.param(width, batch, marks=() if batch in some else pytest.mark.full)
        for width, some, every in ((8, SOME, ALL), (64, WIDE_SOME, WIDE_ALL))
        for batch in every
    ],
)
def test_changed_packets(receivers, width: int, batch: int) -> None:
    """Every delivery with all that is said of it, every counter, and the account."""
    random = Random(1000 * width + batch)
    network = mixed(tunnels_of(random))
    settings, packets = settings_of(random, network), packets_of(random, network, BATCH)
    pauses = random.choice(
        (
            {},
            {"line_rate": False, "input_pause": 0.2},
            {"line_rate": False, "place_pause": 0.3},
            {"line_rate": False, "delivery_pause": 0.7},
        )
    )
    again = f"pytest 'tests/path/test_receive_fuzz.py::test_changed_packets[{width}-{batch}]'"
    check(receivers[width], settings, packets, again, seed=batch, **pauses)
