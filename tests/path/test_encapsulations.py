"""Every encapsulation at every width against the model, with pauses on both sides and hostile frames among the good."""

from random import Random

import pytest

from sim.card.traffic import Frame
from sim.model.network import Network
from tests.path.against_model import check
from tests.support.frames import samples
from tests.support.networks import MIXED, NETWORKS

WIDTHS = (8, *(pytest.param(width, marks=pytest.mark.full) for width in (16, 32)), 64)
PAUSES = {
    "no-pauses": {},
    "host-pauses": {"input_pause": 0.6},
    "wire-pauses": {"output_pause": 0.5, "wire": False},
    "both-pause": {"input_pause": 0.3, "output_pause": 0.3, "wire": False},
}


def frames(seed: int, count: int, vports: int = 1) -> list[Frame]:
    """Seeded frames of all kinds from random vports."""
    draw = Random(seed)
    return [
        Frame(sample.frame, vport=draw.randrange(vports), gso_size=sample.gso_size, accecn=sample.accecn)
        for sample in samples(seed, count)
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_one_encapsulation(cards, name: str, width: int) -> None:
    """Packets and counters are the model's, whatever the pauses."""
    network: Network = NETWORKS[name]
    for seed, (pause, options) in enumerate(PAUSES.items(), start=100 * width):
        again = f"pytest 'tests/path/test_encapsulations.py::test_one_encapsulation[{name}-{width}]' ({pause})"
        check(cards[width], network, frames(seed, 30), again, seed=seed, **options)


@pytest.mark.parametrize("width", WIDTHS)
def test_all_at_once(cards, width: int) -> None:
    """Vports behind every encapsulation, the uplink and nowhere, interleaved frame by frame."""
    again = f"pytest 'tests/path/test_encapsulations.py::test_all_at_once[{width}]'"
    check(cards[width], MIXED, frames(7 + width, 600, vports=len(MIXED.vports) + 2), again)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("width", WIDTHS)
def test_long_runs(cards, width: int, seed: int) -> None:
    """Many more frames of all kinds through all tunnels."""
    again = f"pytest -m full 'tests/path/test_encapsulations.py::test_long_runs[{width}-{seed}]'"
    sent = frames(1000 * width + seed, 4000, vports=len(MIXED.vports) + 2)
    check(cards[width], MIXED, sent, again, input_pause=0.1 * (seed % 4), seed=seed)
