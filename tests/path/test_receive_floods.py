"""An honest flow beside a flood, each taking half of the wire: what the honest one sends arrives."""

from dataclasses import replace
from random import Random

import pytest

from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from tests.path.receive_against_model import check, start
from tests.path.test_receive import writes
from tests.support.frames import tcp_frame
from tests.support.networks import MAC, NETWORKS, TUNNELS, network
from tests.support.receivers import far_end, stt_packet

WIDTHS = (8, 64)
KEEPS = 0.9  # of what the honest flow sends
HONEST, OTHER = 0, 1  # vnets and vports
WRITES = 24
VNET_CONTEXTS, CLASS_CONTEXTS = 8, 5
UNDER_WAY = 8  # buffers of frames that are closed, but not yet handed up: fewer packets come in that time
APART = 16  # cycles from one packet to the next, at least: a line as slow at 512 bits as at 64


def units(packet: bytes) -> int:
    return max(len(packet), 60) + 24


def beside(honest: list[bytes], flood) -> list[bytes]:
    """As many bytes of wire for the flood as for the honest packets."""
    mixed, owed = [], 0
    for packet in honest:
        mixed.append(packet)
        owed += units(packet)
        while owed > 0:
            mixed.append(next(flood))
            owed -= units(mixed[-1])
    return mixed


def half_open(source: bytes):
    """STT fragments, each of another frame of which nothing else ever comes."""
    identifier = 1 << 20
    while True:
        identifier += 1
        yield stt_packet(identifier, 60_000, 1000, b"flood", source=source)


def single_packets(way: str):
    """TCP packets, each of another flow."""
    sender, random = Card(NETWORKS[way]), Random(1)
    while True:
        frame = tcp_frame(4, b"flood", ports=(random.randrange(1024, 65536), random.randrange(1024, 65536)))
        yield from sender.transmit(frame)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("apart", [True, False], ids=["from-elsewhere", "from-the-same"])
@pytest.mark.parametrize("kind", ["half-open-stt", "single-packet-tcp"])
@pytest.mark.parametrize("honest", ["stt-v4-frame", "gre-v4"])
def test_flood(receivers, honest: str, kind: str, apart: bool, width: int) -> None:
    """Of the same vnet and source, or of another; frames of the honest flow stay whole, and no buffer is kept."""
    other = "vxlan-v4"  # whose packets belong to the other vnet
    tunnel = TUNNELS[honest]
    entries = [far_end(tunnel, vnet=HONEST), far_end(TUNNELS[other], vnet=OTHER)]
    if honest != "stt-v4-frame":
        entries.append(far_end(TUNNELS["stt-v4-frame"], vnet=OTHER))
    steer = Steering({HONEST: Vport(HONEST), OTHER: Vport(OTHER)}, {HONEST: "flood", OTHER: "flood"})
    card = receivers[width]
    start(card, ReceiveSettings(Settings(entries), steer=steer))
    if kind == "half-open-stt":
        flood = half_open(bytes([192, 0, 2, 77 if apart else 1]))
    else:
        flood = single_packets(other if apart or honest == "stt-v4-frame" else honest)
    packets = writes(replace(network(tunnel), mac=MAC), 1, WRITES)
    result = card.receive(beside(packets, flood), idle=122)
    again = f"pytest 'tests/path/test_receive_floods.py::test_flood' -k '{honest} and {kind} and {width}'"
    whole = [one for one in result.deliveries if one.vport_set == {HONEST} and len(one.data) > 1000]
    assert result.overruns == 0, again
    assert sum(len(one.data) for one in whole) >= KEEPS * WRITES * 32 * 1024, again
    assert sum(one.packets for one in whole) / len(whole) >= 18, again
    assert result.buffers_left <= card.config.contexts, again
    assert result.buffer_peak <= 4 * card.config.contexts, again
    if apart or honest == "stt-v4-frame":
        assert all(one.vnet == HONEST for one in whole), again


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
def test_buffers_of_a_vnet(receivers, bounded: bool, width: int) -> None:
    """A vnet and a source never hold more host buffers of 64 KB than they may, however many others are free."""
    steer = Steering({OTHER: Vport(OTHER)}, {OTHER: "flood"})
    settings = Settings([far_end(TUNNELS[name], vnet=OTHER) for name in ("vxlan-v4", "stt-v4-frame")])
    limits = Limits()
    if bounded:
        settings = replace(settings, class_contexts=CLASS_CONTEXTS)
        limits = replace(limits, vnet_contexts=VNET_CONTEXTS)
    tcp, stt = single_packets("vxlan-v4"), half_open(bytes([192, 0, 2, 77]))
    packets = [next(one) for _ in range(40) for one in (tcp, stt)]
    again = f"pytest 'tests/path/test_receive_floods.py::test_buffers_of_a_vnet' -k '{width}'"
    card = receivers[width]
    times = [APART * number * 10**9 / card.config.clock_hz for number in range(len(packets))]
    result = check(card, ReceiveSettings(settings, limits, steer), packets, again, times=times)
    most = VNET_CONTEXTS + CLASS_CONTEXTS
    if bounded:
        assert most <= result.open_peak <= most + 1, again  # one that is given up counts until it is handed back
        assert result.buffer_peak <= most + UNDER_WAY, again
    else:
        assert result.open_peak > most + UNDER_WAY, again
