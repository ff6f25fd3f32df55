"""Vports take turns: an honest one keeps its share of the wire beside one that floods."""

from random import Random

import pytest

from hdl.registers.counters import MAXIMUM_FRAME
from sim.card.traffic import Frame
from tests.path.against_model import check
from tests.support.frames import tcp_frame
from tests.support.networks import mixed

NAMES = ("gre-v4-key", "vxlan-v4", "stt-v4-frame")
HONEST, FLOOD, OTHER = 1, 0, 2  # vports, each in a vnet of its own
WIDTHS = (8, 64)
MSS = 1300


def frame(vport: int, payload: int) -> Frame:
    return Frame(tcp_frame(4, bytes(payload)), vport=vport, gso_size=MSS if payload > MSS else 0)


FLOODS = {
    "super-segments": [frame(FLOOD, 60_000)] * 60,
    "small": [frame(FLOOD, 10)] * 3000,
    "any": [frame(FLOOD, Random(3).choice([10, 1200, 60_000])) for _ in range(60)],
}


@pytest.mark.parametrize("quantum", [1514, MAXIMUM_FRAME])
@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("width", WIDTHS)
def test_an_honest_vport_keeps_its_share(cards, width: int, flood: str, quantum: int) -> None:
    """The flood waits in the host before the honest vport's first frame, and never ends before it.

    Until the honest vport has sent all, the other has sent no more than it did, and a quantum and what was under way.
    """
    honest = [frame(HONEST, 1200)] * 60
    again = f"pytest 'tests/path/test_turns.py::test_an_honest_vport_keeps_its_share[{width}-{flood}-{quantum}]'"
    frames = [*FLOODS[flood], *honest]
    result = check(cards[width], mixed(NAMES), frames, again, quantum=quantum)
    sent = dict.fromkeys((HONEST, FLOOD), 0)
    last = max(place for place, number in enumerate(result.order) if frames[number].vport == HONEST)
    for number in result.order[:last]:
        sent[frames[number].vport] += len(frames[number].data)
    assert sent[FLOOD] <= sent[HONEST] + quantum + 2 * MAXIMUM_FRAME, f"repeat with: {again}"


@pytest.mark.parametrize("width", WIDTHS)
def test_any_mix_of_vports(cards, width: int) -> None:
    """Pauses on both sides; packets are those of the model in the order of the turns."""
    random = Random(width)
    frames = [frame(random.randrange(3), random.choice([0, 10, 700, 5000, 30_000])) for _ in range(200)]
    again = f"pytest 'tests/path/test_turns.py::test_any_mix_of_vports[{width}]'"
    check(cards[width], mixed(NAMES), frames, again, quantum=9000, input_pause=0.3, output_pause=0.3, seed=width)


@pytest.mark.parametrize("width", WIDTHS)
def test_one_frame_of_each_vport_at_a_time(cards, width: int) -> None:
    """The smallest frames, every turn another vport's: the wire is not kept waiting at 10 Gb/s."""
    frames = [frame(vport, 0) for _ in range(400) for vport in range(3)]
    again = f"pytest 'tests/path/test_turns.py::test_one_frame_of_each_vport_at_a_time[{width}]'"
    result = check(cards[width], mixed(NAMES), frames, again, quantum=60)
    busy = result.wire.ideal_wire_units
    rate = cards[width].config.line_bps / 8 / cards[width].config.clock_hz  # bytes on the line a cycle
    span = result.packets[-1].last_cycle - result.packets[0].cycle
    assert span * rate <= busy * (1.02 if width == 8 else 6.0), f"repeat with: {again}"
