"""A link whose receiving card hands every packet up as it came, a cycle after its last byte: is time told right?"""

from collections.abc import Iterator
from typing import Any

import pytest
from amaranth.lib import data

import driver.receive
from hdl.config import PRESETS
from hdl.registers.receive import ChecksumStatus
from hdl.rx.layouts import Delivery
from host import rfc2544
from host.article import frames_of
from host.encapsulations import config_of
from host.flows import writes
from host.link import Link, one_after_the_other, whole
from host.simulation import open_card
from sim.card.receive import VirtualReceiver
from tests.sim.card.handup import DELIVERY_XOR, HandUp


def good(card: VirtualReceiver, _: Any, *, fresh: bool) -> None:
    """Have it say that every packet is for vport 0, and that its checksums are good."""
    layout = data.Layout.cast(Delivery)
    values = {"vports": 1, "ip_status": ChecksumStatus.GOOD, "l4_status": ChecksumStatus.GOOD}
    record = sum(value << layout[name].offset for name, value in values.items())
    for number in range(16):
        card.write_row(0, DELIVERY_XOR + number, record >> 32 * number & 0xFFFFFFFF)


@pytest.fixture(scope="module", params=["10g", "100g"])
def cards(request: pytest.FixtureRequest) -> Iterator[Link]:
    nic = PRESETS[request.param]
    with open_card(nic, show=False) as near, VirtualReceiver(nic, component=HandUp(nic), mac_fifo=100_000) as far:
        yield Link(nic, near, far)


@pytest.fixture
def link(cards: Link, monkeypatch: pytest.MonkeyPatch) -> Link:
    monkeypatch.setattr(driver.receive, "program", good)
    return cards


@pytest.mark.parametrize("load", (0.999, 0.5))
def test_the_last_byte_is_in_when_the_wire_says_so(load: float, link: Link) -> None:
    config = config_of(None, rfc2544.MTU)
    sent = link.transmit(config, frames_of(config, [list(writes(2, size=1448))]))
    packets = one_after_the_other(sent.packets, link.nic.line_bps, load)
    arrived = whole(sent, link.receive(config, sent, packets))
    assert set(arrived.latencies) <= {1, 2}, "2 where the last beat has to wait for the one before it"
    wire_ns = float(packets[1].start_ns) + (8 + len(packets[1].data)) * 8e9 / link.nic.line_bps
    assert 0 < arrived.seconds * 1e9 - wire_ns <= 3e9 / link.nic.clock_hz
