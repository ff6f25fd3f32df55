"""The transmit path itself in the virtual card; that what it sends is right is for tests/path to say."""

import pytest

from driver import tables
from driver.counters import read
from hdl.config import PRESETS
from host import traffic
from host.encapsulations import all_tunnels, config_of
from sim.card import Frame, VirtualCard

CYCLES_PER_SECOND = {"10g": 500_000, "100g": 150_000}  # what the card is meant for, on two cores of a laptop


@pytest.fixture(scope="module", params=CYCLES_PER_SECOND)
def card(request):
    with VirtualCard(PRESETS[request.param]) as card:
        yield card


def test_reset_empties_the_tables(card):
    frames = [Frame(frame) for frame in traffic.frames("64")]
    card.reset()
    tables.program(card, config_of(all_tunnels()["vxlan ipv4"], 1500).driver_network(), card.config.width)
    assert len(card.transmit(frames).packets) == len(frames)
    assert read(card)["frames_sent"] == len(frames)
    card.reset()
    assert card.transmit(frames).packets == []
    counted = {name: count for name, count in read(card).items() if count}
    assert counted == {"frames_in": len(frames), "drop.unknown_vport": len(frames)}


def test_speed(card, capsys):
    """The best of five, against half of what the card is meant for: other work may share the machine."""
    card.reset()
    tables.program(card, config_of(all_tunnels()["vxlan ipv4"], 1500).driver_network(), card.config.width)
    frames = [Frame(frame, gso_size=1300) for frame in traffic.frames("32k")]
    measured = max(
        (card.measure(frames, warm_up_cycles=0, cycles=100_000) for _ in range(5)),
        key=lambda measured: measured.cycles_per_second,
    )
    assert measured.packets
    with capsys.disabled():
        print(f"\n{card.config.name}: {measured.cycles_per_second:,.0f} cycles/s, VXLAN, 32 KiB super-segments")
    assert measured.cycles_per_second > CYCLES_PER_SECOND[card.config.name] / 2
