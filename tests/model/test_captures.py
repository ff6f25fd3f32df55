"""Real traffic: what a Linux guest with TSO handed to its card while a web server answered, over every encapsulation.

The captures hold super-segments of up to 64 KiB, and ARP, ICMP, neighbour discovery and small TCP between them.
"""

from pathlib import Path

import pytest

from sim.model.card import Card
from sim.model.fit import default_gso_size, overhead
from sim.model.parse import parse
from tests.support import pcap, tshark
from tests.support.networks import NETWORKS
from tests.support.wire import outer, stt_frames

FOLDER = Path(__file__).parents[1] / "captures"
CAPTURES = ("web-server-tx", "web-client-tx")
VPORT_MTU = 1500


def bare(frame: bytes) -> bytes:
    """A TCP frame with everything zeroed that segmentation may change; any other frame as it is."""
    headers = parse(frame)
    return headers.payload if headers.tcp else frame


@pytest.mark.parametrize(
    "name", ["plain", "gre-v4", "nvgre-v4", "vxlan-v4", "geneve-v6-options", "stt-v4-frame", "stt-v6-segment"]
)
@pytest.mark.parametrize("capture", CAPTURES)
def test_every_byte_arrives(capture: str, name: str):
    network = NETWORKS[name]
    card, packets, inners = Card(network), [], []
    frames = pcap.read(FOLDER / f"{capture}.pcap")
    for frame in frames:
        size = default_gso_size(network, frame, vport=0, vport_mtu=VPORT_MTU)
        sent = card.transmit(frame, gso_size=size)
        assert sent, f"{card.last_drop}: a frame of {len(frame)} bytes with gso_size {size}"
        packets += sent
        if name == "plain":
            received = sent
        elif name.startswith("stt"):
            received = [one.inner for one in stt_frames(sent)]
        else:
            skip = overhead(network.tunnels[0]) - (20 if network.tunnels[0].version == 4 else 40)
            received = [outer(packet).body[skip:] for packet in sent]
        assert b"".join(map(bare, received)) == bare(frame)
        inners += received
    assert card.counters["unparsed"] == 0 and card.counters["frames_sent"] == len(frames)
    assert tshark.problems(packets, stt=name.startswith("stt")) == []


def test_the_server_sends_super_segments():
    frames = pcap.read(FOLDER / "web-server-tx.pcap")
    assert max(map(len, frames)) > 60000 and sum(len(frame) > 1514 for frame in frames) > 10
