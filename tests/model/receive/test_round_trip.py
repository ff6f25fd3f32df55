"""What the transmit model sends comes out again as the packets that a plain uplink would have sent."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.parse import parse
from sim.model.receive.verify import GOOD, NONE, PARTIAL
from tests.support import pcap
from tests.support.frames import GOOD as GOOD_FRAMES
from tests.support.frames import Sample, samples
from tests.support.networks import MIXED, MIXED_TUNNELS, NETWORKS, TUNNELS
from tests.support.receivers import VNET, account, far_end, receiver, take, way_back
from tests.support.vectors import load

COUNT = 200
ROOMY = replace(NETWORKS["plain"], mtu=70000)


def again(name: str, number: int, sample: Sample) -> str:
    return f"sample {number}, {sample}; again: pytest '{__file__}' -k '{name}'"


def plain(sample: Sample, **more: Any) -> list[bytes]:
    return Card(ROOMY).transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn, **more)


@pytest.mark.parametrize("name", TUNNELS)
def test_everything_that_is_sent_is_received(name: str):
    """Any frame, good or hostile, in every encapsulation."""
    tunnel = TUNNELS[name]
    card, other = Card(NETWORKS[name]), receiver(far_end(tunnel), tunnels=(way_back(tunnel),))
    kinds = set()
    for number, sample in enumerate(samples(seed=20, count=COUNT)):
        message = again(name, number, sample)
        sent = card.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        found = take(other, sent)
        if not sent:
            continue
        expected = plain(sample)
        if tunnel.encapsulation == "nvgre" and parse(sample.frame).tpid == 0x8100:
            expected = [packet[:12] + packet[16:] for packet in expected]
        if tunnel.encapsulation == "stt" and parse(sample.frame).tpid == 0x8100:  # STT's tag has no drop bit
            expected = [packet[:14] + bytes([packet[14] & 0xEF]) + packet[15:] for packet in expected]
        assert {(one.vnet, one.tunnel, one.source) for one in found} == {(VNET, 0, tunnel.local)}, message
        assert sum(one.packets for one in found) == len(sent), message
        kinds |= {(one.ip_checksum, one.l4_checksum) for one in found}
        if found[0].gso_size:
            (whole,) = found
            assert (whole.gso_size, whole.l4_checksum) == (sample.gso_size, PARTIAL), message
            assert Card(ROOMY).transmit(whole.complete, gso_size=whole.gso_size) == expected, message
        else:
            assert [one.complete for one in found] == expected, message
    assert other.held == 0
    assert kinds >= {(GOOD, GOOD), (NONE, NONE), (NONE, GOOD), (GOOD, NONE)}
    assert all("bad" not in kind for kind in kinds)
    assert {name for name, number in other.counters.items() if number} == {
        "packets_in",
        "packets_delivered",
        "frames_delivered",
    }


def test_an_untunnelled_frame_comes_as_it_is():
    """Into the uplink's vnet, with its checksums checked and no byte changed."""
    other = receiver(uplink={None: 3})
    for number, sample in enumerate(samples(seed=21, count=COUNT)):
        sent = plain(sample)
        found = take(other, sent)
        assert [one.frame for one in found] == sent, again("untunnelled", number, sample)
        assert all(one.vnet == 3 and one.entry is None for one in found)
        assert all("bad" not in (one.ip_checksum, one.l4_checksum) for one in found)


def test_all_tunnels_at_once():
    """Packets of nine tunnels, shuffled: each frame comes to its own vnet."""
    random = Random(22)
    card = Card(MIXED)
    # Over one IP version all tunnels have one address; GRE with no key ends once, so one of the two goes.
    names = [name for name in MIXED_TUNNELS if name != "gre-v4-seq"]
    entries = [far_end(TUNNELS[name], vnet=MIXED_TUNNELS.index(name)) for name in names]
    other = receiver(*entries)
    sent, expected = [], []
    for sample in samples(seed=23, count=300, kinds=GOOD_FRAMES, largest=4000):
        vport = MIXED_TUNNELS.index(random.choice(names))
        packets = card.transmit(sample.frame, vport=vport, gso_size=sample.gso_size, accecn=sample.accecn)
        sent += packets
        alone = receiver(entries[names.index(MIXED_TUNNELS[vport])])
        expected += [(one.vnet, one.frame) for one in take(alone, packets)]
        assert alone.held == 0
    assert {vnet for vnet, _ in expected} == {MIXED_TUNNELS.index(name) for name in names}
    for at in range(0, len(sent), 40):  # no more frames open at once than there are contexts
        part = sent[at : at + 40]
        random.shuffle(part)
        sent[at : at + 40] = part
    found = take(other, sent)
    assert sorted((one.vnet or 0, one.frame) for one in found) == sorted(expected)


@pytest.mark.parametrize("vector", list(load()), ids=str)
def test_the_kernels_packets(vector: Any):
    """What Linux put on the wire, decapsulated: plain segments of the frame that it was given."""
    tunnel = vector.network.tunnels[0]
    other = receiver(far_end(tunnel))
    found = take(other, list(pcap.read(vector.expected)))
    expected = Card(ROOMY).transmit(vector.frame, gso_size=vector.gso_size)
    assert [one.complete for one in found] == expected
    assert {one.l4_checksum for one in found} == {GOOD}
    account(other)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("capture", ["web-server-tx", "web-client-tx"])
def test_real_traffic_over_stt(capture: str, version: int):
    """Super-segments of up to 64 KiB come back as they were handed over, with their checksums complete.

    Sixteen frames at a time, all their packets shuffled.
    """
    tunnel = TUNNELS[f"stt-v{version}-frame"]
    card, other, random = Card(NETWORKS[f"stt-v{version}-frame"]), receiver(far_end(tunnel)), Random(24)
    frames = pcap.read(Path(__file__).parents[2] / "captures" / f"{capture}.pcap")[:400]
    for at in range(0, len(frames), 16):
        part = frames[at : at + 16]
        sent = [packet for frame in part for packet in card.transmit(frame, gso_size=1448)]
        random.shuffle(sent)
        whole = [Card(ROOMY).transmit(frame)[0] for frame in part]
        assert sorted(one.complete for one in take(other, sent)) == sorted(whole), f"frames {at} to {at + 15}"
    assert other.held == 0
