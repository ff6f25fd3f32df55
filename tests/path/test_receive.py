"""The compiled receive path against the model: every encapsulation, broken packets, merged flows, and round trips."""

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sim.card.receive import VirtualReceiver
from sim.model.card import Card, without_tag
from sim.model.coalesce.coalescer import Limits
from sim.model.coalesce.rules import URG
from sim.model.network import Network
from sim.model.parse import parse
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.received import with_tag
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from sim.model.segment import CWR, finish
from tests.path.receive_against_model import SHORTEST, check, start
from tests.support import pcap
from tests.support.frames import ACK, PSH, samples, tcp_frame
from tests.support.mutations import mutate
from tests.support.networks import MIXED, MIXED_TUNNELS, NETWORKS
from tests.support.receivers import KNOWN, far_end
from tests.support.vectors import load

MAC = bytes.fromhex("52540000bb01")  # to whom the frames' builders write
CAPTURES = Path(__file__).parents[1] / "captures"
WIDTHS = (8, 64)
QUIET = 500  # cycles: more than what any packet takes on its way through
LONGEST, ROOM = 65535, 110  # bytes from the outer IP header on that are merged; what may be in front of a frame
ONE_OF_EACH = ("plain", "gre-v6-csum-key-seq", "nvgre-v4", "vxlan-v6-csum", "geneve-v4-options", "stt-v4-frame")
PAUSES = {
    "line-rate": {},
    "input-pauses": {"line_rate": False, "input_pause": 0.3},
    "host-pauses": {"line_rate": False, "place_pause": 0.3, "delivery_pause": 0.6},
}


def settings(network: Network) -> ReceiveSettings:
    """The far end of a network's tunnels: all is for vport 0 of vnet 7."""
    entries = {(one.encapsulation, one.local, one.key): one for one in map(far_end, network.tunnels)}
    uplink: dict[int | None, int] = {} if entries else {None: 7}
    terminate = Settings(list(entries.values()), options=KNOWN, uplink=uplink)
    return ReceiveSettings(terminate, Limits(), Steering({0: Vport(7, MAC)}, {7: "flood"}))


def again(test: str) -> str:
    return f"pytest 'tests/path/test_receive.py::{test}'"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_one_encapsulation(receivers, name: str, width: int) -> None:
    """What the model's sender sends, whatever the pauses."""
    for seed, (_, pauses) in enumerate(PAUSES.items(), start=10 * width):
        sender = Card(NETWORKS[name])
        frames = samples(seed, 30)
        packets = [p for s in frames for p in sender.transmit(s.frame, gso_size=s.gso_size, accecn=s.accecn)]
        check(
            receivers[width],
            settings(NETWORKS[name]),
            packets,
            again(f"test_one_encapsulation[{name}-{width}]"),
            seed=seed,
            once=True,
            **pauses,
        )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(6))
def test_broken_packets(receivers, width: int, seed: int) -> None:
    """A packet with any bytes changed is delivered, dropped or handed to nobody as the model says; others are whole."""
    random, sender = Random(seed), Card(MIXED)
    packets = []
    for sample in samples(100 + seed, 250):
        vport = random.randrange(len(MIXED_TUNNELS))
        sent = sender.transmit(sample.frame, vport=vport, gso_size=sample.gso_size, accecn=sample.accecn)
        packets += [mutate(random, packet)[:9238] if random.random() < 0.4 else packet for packet in sent]
    packets = [packet for packet in packets if packet]
    check(receivers[width], settings(MIXED), packets, again(f"test_broken_packets[{seed}-{width}]"), seed=seed)


def writes(network: Network, flows: int, count: int, size: int = 32 * 1024) -> list[bytes]:
    """`count` writes of each of `flows` flows, cut and interleaved packet by packet."""
    sender, mss, each = Card(network), 1448 if not network.tunnels else 1340, []
    for flow in range(flows):
        sent: list[bytes] = []
        for number in range(count):
            payload = Random(flow * 1000 + number).randbytes(size)
            frame = tcp_frame(4, payload, sequence=number * size, ports=(1000 + flow, 80), flags=ACK | PSH)
            sent += sender.transmit(frame, gso_size=mss)
        each.append(sent)
    return [packet for row in zip(*each, strict=True) for packet in row]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["plain", "gre-v4-key", "nvgre-v4", "vxlan-v4", "geneve-v6-options", "stt-v4-frame"])
@pytest.mark.parametrize("flows", [1, 64])
def test_super_segments_are_whole_again(receivers, name: str, flows: int, width: int) -> None:
    """32 KB writes come up as they went down: 21 packets and more in a frame, with 64 flows interleaved too."""
    network = NETWORKS[name]
    packets = writes(network, flows, 2)
    test = f"test_super_segments_are_whole_again[{flows}-{name}-{width}]"
    result = check(receivers[width], settings(network), packets, again(test), once=True)
    assert result.overruns == 0
    assert len(packets) / len(result.deliveries) >= 21
    assert all(len(one.data) > 32 * 1024 for one in result.deliveries)


@pytest.mark.parametrize("width", WIDTHS)
def test_stt_fragments_in_any_order(receivers, width: int) -> None:
    """Whichever fragment comes first or last."""
    network = NETWORKS["stt-v4-frame"]
    for seed in range(20):
        packets = writes(network, 4, 2)
        Random(seed).shuffle(packets)
        result = check(
            receivers[width], settings(network), packets, again(f"test_stt_fragments_in_any_order[{width}]"), seed=seed
        )
        assert len(result.deliveries) == 8


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("capture", ["web-server-tx", "web-client-tx"])
def test_round_trip_of_captures(receivers, capture: str, width: int) -> None:
    """Real traffic out through each kind of tunnel and back in."""
    frames = pcap.read(CAPTURES / f"{capture}.pcap")
    for name in ("gre-v4-key", "vxlan-v6-csum", "geneve-v4", "stt-v6-frame"):
        sender = Card(NETWORKS[name])
        mss = 1300
        packets = [p for frame in frames for p in sender.transmit(frame, gso_size=mss if len(frame) > 1514 else 0)]
        check(
            receivers[width],
            settings(NETWORKS[name]),
            packets,
            again(f"test_round_trip_of_captures[{capture}-{width}]"),
        )


def comes_back(card: VirtualReceiver, network: Network, given: Iterable[tuple[bytes, int, bool]], hint: str) -> int:
    """Frames (with `gso_size` and `accecn`), each cut, received, and cut again: the same packets, byte for byte.

    A frame whose flags are those of ordinary data is handed up as it was, its checksums complete; but for STT frames
    that carry one segment each, which nobody puts together. How many were so.
    """
    there, again, whole = Card(network), Card(network), 0
    nvgre = any(tunnel.encapsulation == "nvgre" for tunnel in network.tunnels)
    apart = any(tunnel.encapsulation == "stt" and tunnel.stt_mode == "segment" for tunnel in network.tunnels)
    for number, (frame, gso_size, accecn) in enumerate(given):
        sent = there.transmit(frame, gso_size=gso_size, accecn=accecn)
        packets = [packet.ljust(SHORTEST, b"\0") for packet in sent]
        done = card.receive(packets, settle=QUIET, once=True).deliveries
        frames = [with_tag(one.data, one.tag) for one in done]
        second: list[bytes] = []
        for one, up in zip(done, frames, strict=True):
            second += again.transmit(up, gso_size=one.gso_size)
        assert [packet.ljust(SHORTEST, b"\0") for packet in second] == packets, f"frame {number}; {hint}"
        headers = parse(frame)
        ordinary = headers.tcp and not frame[headers.l4 + 13] & (CWR | URG)
        as_one = sent and len(sent[0]) >= SHORTEST and len(frame) + ROOM <= LONGEST and not (apart and len(sent) > 1)
        if ordinary and as_one:
            came = without_tag(frame) if nvgre and headers.tags else frame  # RFC 7637: the VSID says what the tag said
            assert [finish(parse(up)) for up in frames] == [finish(parse(came))], f"frame {number}; {hint}"
            whole += 1
    return whole


def anyone(network: Network) -> ReceiveSettings:
    """The far end, where every address is vport 0's."""
    return replace(settings(network), steer=Steering({0: Vport(7)}, {7: "flood"}))


def sampled(names: Iterable[str], some: Container[str]) -> list[Any]:
    """All of them, those not in `some` for `make test-full`."""
    return [pytest.param(name, marks=() if name in some else pytest.mark.full) for name in names]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sampled(sorted(NETWORKS), ONE_OF_EACH))
@pytest.mark.parametrize("capture", ["web-server-tx", "web-client-tx"])
def test_captures_come_back(receivers, capture: str, name: str, width: int) -> None:
    """Real traffic, frame by frame, through every encapsulation."""
    card, frames = receivers[width], pcap.read(CAPTURES / f"{capture}.pcap")
    start(card, anyone(NETWORKS[name]))
    given = [(frame, 1300, False) for frame in frames]
    hint = f"repeat with: {again(f'test_captures_come_back[{capture}-{name}-{width}]')}"
    assert comes_back(card, NETWORKS[name], given, hint) > 16


@pytest.mark.full
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_vectors_come_back_through_everything(receivers, name: str, width: int) -> None:
    """What the kernel was given, through every encapsulation."""
    card = receivers[width]
    start(card, anyone(NETWORKS[name]))
    given = ((vector.frame, min(vector.gso_size, 1340), vector.accecn) for vector in load())
    hint = f"repeat with: {again(f'test_vectors_come_back_through_everything[{name}-{width}]')}"
    assert comes_back(card, NETWORKS[name], given, hint) > 40 or "segment" in name


@pytest.mark.parametrize("width", WIDTHS)
def test_round_trip_of_vectors(receivers, width: int) -> None:
    """Every frame that the kernel cut comes back; cut again it gives the same packets."""
    card, tunnels, whole = receivers[width], None, 0
    hint = f"repeat with: {again(f'test_round_trip_of_vectors[{width}]')}"
    for vector in sorted(load(), key=lambda one: str(one.network.tunnels)):
        if vector.network.tunnels != tunnels:
            start(card, anyone(vector.network))
            tunnels = vector.network.tunnels
        given = [(vector.frame, vector.gso_size, vector.accecn)]
        whole += comes_back(card, vector.network, given, f"{vector}; {hint}")
    assert whole > 80
