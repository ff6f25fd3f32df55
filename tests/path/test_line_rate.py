"""The wire is never idle while frames wait: small packets, super-segments and a mix, narrow and wide."""

import pytest

from host.traffic import PATTERNS, frames
from sim.card.traffic import Frame
from sim.model.card import Card
from sim.model.fit import default_gso_size
from tests.path.against_model import start
from tests.support.networks import NETWORKS

LEAST = {"32k": 0.998, "64": 0.99, "mix": 0.99}
CYCLES = {8: 120_000, 64: 40_000}
WARM_UP = 30_000
SOME = (
    "plain",
    "gre-v4-key",
    "gre-v6-csum-key-seq",
    "vxlan-v6-csum",
    "geneve-v4-options",
    "stt-v4-frame",
    "stt-v6-segment",
)


@pytest.mark.parametrize("width", sorted(CYCLES))
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", SOME)
def test_the_wire_is_busy(cards, name: str, pattern: str, width: int) -> None:
    """Utilisation with input always waiting; no frame is dropped, no packet is late."""
    network, card = NETWORKS[name], cards[width]
    start(card, network)
    model = Card(network)
    sent = [Frame(data, gso_size=default_gso_size(network, data, vport=0, vport_mtu=None)) for data in frames(pattern)]
    assert all(model.transmit(frame.data, gso_size=frame.gso_size) for frame in sent)
    found = card.measure(sent, warm_up_cycles=WARM_UP, cycles=CYCLES[width])
    again = f"repeat with: pytest 'tests/path/test_line_rate.py::test_the_wire_is_busy[{name}-{pattern}-{width}]'"
    assert found.underruns == 0, again
    assert LEAST[pattern] <= found.wire_utilisation <= 1, f"{found.wire_utilisation:.5f}; {again}"


@pytest.mark.parametrize("width", [8, *(pytest.param(width, marks=pytest.mark.full) for width in (16, 32)), 64])
def test_a_packet_a_cycle_of_work(cards, width: int) -> None:
    """60-byte frames leave as fast as the beats allow: nothing in the path takes more than a cycle a packet."""
    network, card = NETWORKS["plain"], cards[width]
    start(card, network)
    sent = [Frame(data) for data in frames("64")]
    result = card.transmit(sent * 60, wire=False)
    first, last = result.packets[100].cycle, result.packets[-1].cycle
    beats = -(-60 // width)
    assert last - first <= (len(result.packets) - 100) * beats * 1.03 + 10
