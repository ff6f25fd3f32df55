"""Descriptors that lie, frames of no bytes, jumbo frames: nothing hangs, nothing is lost, the next frame is right."""

from random import Random

import pytest

from driver import counters
from sim.card.traffic import Frame
from sim.model.card import Card
from tests.path.against_model import check, start
from tests.support.frames import extension, samples, tcp_frame, udp_frame
from tests.support.networks import NETWORKS

WIDTHS = (8, *(pytest.param(width, marks=pytest.mark.full) for width in (16, 32)), 64)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_length(cards, width: int) -> None:
    """Frames of 0 to 200 bytes, cut off a good one."""
    whole = tcp_frame(4, bytes(range(150)))
    again = f"pytest 'tests/path/test_hostile.py::test_every_length[{width}]'"
    check(cards[width], NETWORKS["gre-v4-csum-key-seq"], [Frame(whole[:n]) for n in range(201)], again)


@pytest.mark.parametrize("size", [1, 2, 7, 63, 64, 65, 127, 536])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_gso_size(cards, width: int, size: int) -> None:
    """Segments shorter than a beat, of a beat, and around it."""
    again = f"pytest 'tests/path/test_hostile.py::test_any_gso_size[{width}-{size}]'"
    sent = [
        Frame(tcp_frame(version, Random(n).randbytes(700 + n)), gso_size=size) for n in range(4) for version in (4, 6)
    ]
    check(cards[width], NETWORKS["vxlan-v4-csum"], sent, again)


@pytest.mark.parametrize("width", WIDTHS)
def test_jumbo_and_beyond(cards, width: int) -> None:
    """What does not fit is counted; STT frame mode holds up to 9,238 bytes whole for the sum."""
    sizes = [1400, 1458, 1459, 1500, 9000, 9196, 9197, 20000, 65000]
    sent = [Frame(udp_frame(4, Random(n).randbytes(n))) for n in sizes for _ in range(2)]
    for name in ("stt-v4-frame", "gre-v4", "plain"):
        again = f"pytest 'tests/path/test_hostile.py::test_jumbo_and_beyond[{width}]' ({name})"
        check(cards[width], NETWORKS[name], sent, again)


@pytest.mark.parametrize("width", WIDTHS)
def test_trailers_across_a_cut(cards, width: int) -> None:
    """Ethernet padding in any fragment of an STT frame counts in its outer checksum, and in no inner one."""
    draw = Random(width)
    again = f"pytest 'tests/path/test_hostile.py::test_trailers_across_a_cut[{width}]'"
    sent = [
        Frame(build(4, draw.randbytes(size)) + draw.randbytes(trailer))
        for build in (tcp_frame, udp_frame)
        for size in (10, 1370, 1380, 1385, 1395, 1400, 2850, 4000)
        for trailer in (1, 9, 46)
    ]
    check(cards[width], NETWORKS["stt-v4-frame"], sent, again)


@pytest.mark.parametrize("width", WIDTHS)
def test_deep_headers_leave_no_gap(cards, width: int) -> None:
    """Headers of hundreds of bytes are replayed as fast as the line takes them."""
    again = f"pytest 'tests/path/test_hostile.py::test_deep_headers_leave_no_gap[{width}]'"
    sent = [
        Frame(tcp_frame(6, bytes(10), ip={"extensions": [(60, extension(size))]}))
        for size in (8, 64, 128, 192, 200, 264, 320, 392)
        for _ in range(8)
    ]
    check(cards[width], NETWORKS["gre-v6-key"], sent, again)


@pytest.mark.parametrize("input_pause", [0.0, 0.5])
@pytest.mark.parametrize("width", WIDTHS)
def test_descriptors_that_lie(cards, width: int, input_pause: float) -> None:
    """A frame whose descriptor and data disagree by a beat or more is dropped as bad_length; others are untouched."""
    draw = Random(width)
    frames, good = [], []
    for number, sample in enumerate(samples(width, 120)):
        data, length = sample.frame, len(sample.frame)
        if number % 3 == 1 and length >= 14:
            length = draw.choice(
                [max(14, length - draw.randrange(width, 3 * width)), length + draw.randrange(width, 3000)]
            )
            if -(-length // width) == -(-len(data) // width):
                length = len(data)
        frames.append(Frame(data, gso_size=sample.gso_size, accecn=sample.accecn, length=length))
        if length == len(data):
            good.append(frames[-1])
    network = NETWORKS["plain"]
    start(cards[width], network)
    result = cards[width].transmit(frames, input_pause=input_pause, seed=width)
    model = Card(network)
    want = [p for f in good for p in model.transmit(f.data, gso_size=f.gso_size, accecn=f.accecn)]
    got = [packet.data for packet in result.packets]
    again = f"repeat with: pytest 'tests/path/test_hostile.py::test_descriptors_that_lie[{width}-{input_pause}]'"
    at = 0
    for packet in got:  # segments of a liar that left before the lie was found may lie between
        at += at < len(want) and packet == want[at]
    assert at == len(want), f"packet {at} of the honest frames is missing or wrong; {again}"
    counts = counters.read(cards[width])
    assert counts["frames_in"] == len(frames), again
    dropped = sum(value for name, value in counts.items() if name.startswith("drop."))
    assert counts["frames_in"] == counts["frames_sent"] + dropped, again
    assert counts["drop.bad_length"] > 0, again
