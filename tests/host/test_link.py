"""The simulated link: what the ledger finds out, how time is told, and that the far end answers to the near one."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from hdl.config import PRESETS
from host.article import frames_of, turns
from host.encapsulations import all_tunnels, config_of, config_of_peers
from host.errors import Mismatch, UserError
from host.flows import FAR, NEAR, echo_requests, vport_mac, writes
from host.ledger import Ledger
from host.link import Link, OnWire, Sent, backwards, far_end, one_after_the_other, open_link, several, spread, whole
from host.wire import limit, units
from sim.card import Frame
from sim.model.parse import parse
from tests.host.fake_receiver import LATENCY, Delivery, FakeReceiver

GRE, STT = "gre key ipv4", "stt frame ipv4"


@pytest.fixture
def link(fake_receiver: type[FakeReceiver]) -> Iterator[Link]:
    with open_link(PRESETS["10g"]) as found:
        yield found


def send(link: Link, name: str, number: int = 3) -> tuple[Any, Sent]:
    config = config_of(all_tunnels()[name])
    return config, link.transmit(config, frames_of(config, [list(writes(number))]))


@pytest.mark.parametrize("name", all_tunnels())
def test_every_byte_arrives(name: str, link: Link) -> None:
    config, sent = send(link, name)
    arrived = whole(sent, link.receive(config, sent, sent.packets))
    assert arrived.payload == sent.payload == 3 * 32768
    assert arrived.packets == len(sent.packets)
    assert arrived.completions == (len(sent.packets) if "segment" in name else 3), "STT frames are not merged again"
    assert set(arrived.latencies) == {LATENCY}
    assert sent.utilisation(link.nic.line_bps) == 1.0
    # From the first preamble to the last delivery: all wire time but the last packet's FCS and gap, and the latency.
    lengths = [len(packet.data) for packet in sent.packets]
    assert arrived.seconds == pytest.approx((units(lengths) - 16) * 8e-10 + LATENCY * 6.4e-9, abs=6.4e-9)
    assert 0.99 < arrived.goodput_bps / limit(sent.payload, lengths, link.nic.line_bps) < 1


@pytest.mark.parametrize("name", [GRE, STT])
def test_packets_that_are_lost(name: str, link: Link) -> None:
    config, sent = send(link, name)
    arrived = link.receive(config, sent, [*sent.packets[:5], *sent.packets[6:]])
    each = len(sent.packets) // 3
    assert arrived.payload == sent.payload - (32768 if name == STT else 1406)
    assert arrived.packets == len(sent.packets) - (each if name == STT else 1)
    with pytest.raises(Mismatch, match=r"packets arrived; lost: nothing"):
        whole(sent, arrived)


def flipped(one: Delivery, at: int) -> Delivery:
    data = bytearray(one.data)
    data[at] ^= 1
    return replace(one, data=bytes(data))


SPOILT = {
    "a byte of payload": (lambda found: [flipped(found[0], 1000), *found[1:]], "bytes of payload are not as they were"),
    "a header": (lambda found: [flipped(found[0], 14 + 20 + 15), *found[1:]], "headers are not as they were sent"),
    "an address": (lambda found: [flipped(found[0], 0), *found[1:]], "a TCP frame arrived that nobody sent"),
    "a checksum": (
        lambda found: [flipped(found[0], 24), *found[1:]],
        "the card says IP good, L4 partial; they are bad",
    ),
    "one twice": (lambda found: [*found, found[-1]], "a byte of payload arrived twice"),
    "one missing": (lambda found: found[1:], "of 98,304 bytes and 48 of 72 packets arrived; lost: nothing"),
    "a vport": (lambda found: [replace(found[0], vports=2), *found[1:]], "a frame for vport 0 went to the vports 0b10"),
    "a size": (lambda found: [replace(found[0], gso_size=1000), *found[1:]], "gso_size is 1000, it was sent with 1406"),
    "a way": (lambda found: [replace(found[0], slow=True), *found[1:]], "a frame went the slow path"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_wrong_is_found_out(what: str, link: Link, fake_receiver: type[FakeReceiver]) -> None:
    spoil, message = SPOILT[what]
    fake_receiver.spoil = staticmethod(spoil)
    config, sent = send(link, GRE)
    with pytest.raises(Mismatch, match=message):
        whole(sent, link.receive(config, sent, sent.packets))


def test_frames_that_are_not_tcp_arrive_as_they_are(link: Link, fake_receiver: type[FakeReceiver]) -> None:
    config = config_of(all_tunnels()[GRE], 1600)
    sent = link.transmit(config, [Frame(data) for data in echo_requests(4, 128)])
    assert whole(sent, link.receive(config, sent, sent.packets)).completions == 4
    fake_receiver.spoil = staticmethod(lambda found: [found[0], found[0], *found[1:]])
    with pytest.raises(Mismatch, match="nobody sent, or twice"):
        link.receive(config, sent, sent.packets)


def test_a_card_that_sends_too_little(link: Link, fake_card: Any) -> None:
    fake_card.spoil = staticmethod(lambda packets: packets[1:])
    with pytest.raises(Mismatch, match="3 frames became 71 packets, not 72"):
        send(link, GRE)


def test_both_directions_are_each_others_far_end() -> None:
    near = config_of_peers(all_tunnels()["vxlan ipv4"], [vport_mac(FAR, 0), vport_mac(FAR, 1)])
    there = far_end(near)
    assert [str(entry.local) for entry in there.terminate] == ["192.0.2.2"], "two tunnels lead to one end"
    assert {number: vport.mac for number, vport in there.vports.items()} == {k: vport_mac(FAR, k) for k in (0, 1)}
    back = backwards(near)
    assert [str(tunnel.remote) for tunnel in back.tunnel] == ["192.0.2.1", "192.0.2.3"]
    assert far_end(back, NEAR).vports[1].mac == vport_mac(NEAR, 1)
    assert {str(entry.local) for entry in far_end(back, NEAR).terminate} == {"192.0.2.1", "192.0.2.3"}
    assert far_end(config_of(None)).uplink == {None: 0}


def test_a_flow_goes_on() -> None:
    """Each write begins where the last one ended, and the ledger holds them to it."""
    frames = [Frame(data, gso_size=1400) for data in writes(3, size=3000)]
    ledger = Ledger(frames)
    (stream,) = ledger.streams.values()
    assert len(stream.data) == 9000 and list(stream.ends) == [3000, 6000, 9000]
    assert not parse(frames[0].data).unparsed
    with pytest.raises(ValueError, match="does not go on"):
        Ledger([frames[0], frames[2]])
    assert set(writes(1, flow=1)).isdisjoint(writes(1, flow=2))


def test_loads() -> None:
    packets = [OnWire(bytes(60), Fraction(0), number) for number in range(3)]
    for load, gap in ((1.0, Fraction("67.2")), (0.5, Fraction("134.4"))):
        assert [packet.start_ns for packet in one_after_the_other(packets, 10**10, load)] == [0, gap, 2 * gap]


def test_turns() -> None:
    packets = [OnWire(bytes(60), Fraction(0), number // 3) for number in range(6)]
    assert [packet.frame for packet in turns(packets)] == [0, 1, 0, 1, 0, 1]


def test_spread(fake_receiver: type[FakeReceiver]) -> None:
    seen = []

    def fail(_: Link) -> int:
        raise Mismatch("no")

    with several(open_link, PRESETS["10g"]) as links:
        jobs = [(f"job {number}", lambda _, number=number: number) for number in range(7)]
        assert spread(links, jobs, lambda done, total, doing="": seen.append((done, total))) == list(range(7))
        assert seen[-1] == (7, 7)
        with pytest.raises(Mismatch, match="bad job: no"):
            spread(links, [*jobs, ("bad job", fail)], lambda *_: None)


def test_a_card_that_hangs_is_an_error_of_one_line(link: Link, fake_receiver: type[FakeReceiver]) -> None:
    from sim.card import CardHang

    def hang(*_: Any, **__: Any) -> None:
        raise CardHang("the card hangs")

    fake_receiver.receive = hang  # type: ignore[assignment]
    with pytest.raises(UserError, match="virtual card: the card hangs"), open_link(PRESETS["10g"]) as found:
        config, sent = send(found, GRE)
        found.receive(config, sent, sent.packets)
