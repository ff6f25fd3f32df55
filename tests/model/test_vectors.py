"""The model against the Linux kernel: every captured super-segment, byte for byte inside the tunnel."""

import pytest

from sim.model.card import Card
from tests.support import pcap, vectors
from tests.vectors.compare import compare

VECTORS = list(vectors.load())


def test_all_vectors_are_there():
    assert len(VECTORS) == 230


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_same_segments_as_linux(vector: vectors.Vector):
    packets = Card(vector.network).transmit(vector.frame, gso_size=vector.gso_size, accecn=vector.accecn)
    assert compare(packets, pcap.read(vector.expected)) == []
