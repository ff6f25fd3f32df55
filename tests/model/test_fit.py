"""The default gso_size: every segment fits, and one byte more would not."""

from dataclasses import replace

import pytest

from sim.model.card import Card
from sim.model.fit import default_gso_size
from sim.model.network import Network
from tests.support.frames import C_TAG, DESTINATION, S_TAG, TIMESTAMPS, Tags, arp, extension, tcp_frame, udp_frame
from tests.support.networks import MIXED, MIXED_TUNNELS, NETWORKS

TAGS: list[Tags] = [[], [(C_TAG, 1)], [(S_TAG, 1)], [(C_TAG, 1), (C_TAG, 2)]]


CASES = [(name, tags) for name in NETWORKS for tags in (TAGS[:2] if name.startswith("nvgre") else TAGS)]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("name", "tags"), CASES, ids=str)
def test_the_largest_that_fits(name: str, version: int, tags: Tags):
    extra: dict[str, object] = {"options": bytes(8)} if version == 4 else {"extensions": [(DESTINATION, extension(8))]}
    frame = tcp_frame(version, bytes(4000), tags=tags, options=TIMESTAMPS, ip=extra)
    size = default_gso_size(NETWORKS[name], frame, vport=0, vport_mtu=None)
    per_segment = segment_mode(name)
    assert Card(per_segment).transmit(frame, gso_size=size) != []
    assert Card(per_segment).transmit(frame, gso_size=size + 1) == []


def segment_mode(name: str) -> Network:
    """STT's frame mode cuts whatever it gets: its segments must fit on their own all the same."""
    network = NETWORKS[name]
    return replace(network, tunnels=tuple(replace(one, stt_mode="segment") for one in network.tunnels))


def test_known_figures():
    frame = tcp_frame(4, bytes(4000))
    sizes = {name: default_gso_size(NETWORKS[name], frame, vport=0, vport_mtu=None) for name in NETWORKS}
    assert sizes["plain"] == 1460
    assert sizes["gre-v4"] == 1422
    assert sizes["gre-v4-key"] == sizes["nvgre-v4"] == 1418
    assert sizes["vxlan-v4"] == sizes["geneve-v4"] == 1410
    assert sizes["vxlan-v6-csum"] == 1390
    assert sizes["stt-v4-frame"] == sizes["stt-v4-segment"] == 1388


@pytest.mark.parametrize(
    ("vport_mtu", "size"), [(1500, 1410), (1450, 1410), (1449, 1409), (576, 536), (40, 0), (20, 0)]
)
def test_the_vports_mtu(vport_mtu: int, size: int):
    frame = tcp_frame(4, bytes(4000))
    assert default_gso_size(NETWORKS["vxlan-v4"], frame, vport=0, vport_mtu=vport_mtu) == size


def test_no_size_where_there_is_nothing_to_cut():
    for frame in (arp(), udp_frame(4, bytes(4000)), tcp_frame(4, bytes(4000), ip={"flags_and_offset": 0x2000})):
        assert default_gso_size(NETWORKS["gre-v4"], frame, vport=0, vport_mtu=None) == 0
    frame, n = tcp_frame(4, bytes(4000)), len(MIXED_TUNNELS)
    sizes = [default_gso_size(MIXED, frame, vport=vport, vport_mtu=1500) for vport in (0, n, n + 1, n + 2, n + 3)]
    assert sizes == [1422, 1460, 0, 0, 0]
