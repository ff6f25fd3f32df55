"""The compiled path against the Linux kernel's own segmentation."""

import pytest

from sim.card.traffic import Frame
from tests.path.against_model import start
from tests.support import pcap, vectors
from tests.vectors.compare import compare

VECTORS = list(vectors.load())


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_equals_the_kernel(cards, width: int, vector: vectors.Vector) -> None:
    """Every segment is Linux's, but for what a sender may choose."""
    card = cards[width]
    start(card, vector.network)
    result = card.transmit([Frame(vector.frame, gso_size=vector.gso_size, accecn=vector.accecn)])
    said = compare([packet.data for packet in result.packets], pcap.read(vector.expected))
    assert not said, said


def test_all_vectors_are_here() -> None:
    """230 cases, 2,758 segments."""
    assert len(VECTORS) == 230
    assert sum(len(pcap.read(vector.expected)) for vector in VECTORS) == 2758
