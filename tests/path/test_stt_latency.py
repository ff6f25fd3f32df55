"""How soon an STT frame is handed up: cycles from the last byte of its last fragment to the delivery."""

from random import Random

import pytest

from hdl.config import PRESETS
from sim.model.card import Card
from tests.path.receive_against_model import start
from tests.path.test_receive import settings
from tests.support.frames import ACK, PSH, tcp_frame
from tests.support.networks import NETWORKS

WIDTHS = (8, 64)
MOST = 64  # cycles
MSS = 1340
SIZES = (32 * 1024, 32 * 1024 - 700, 32 * 1024 + 17, 9000, 3000, 1500, 1395)  # bytes that are written at once


def again(test: str) -> str:
    return f"repeat with: pytest 'tests/path/test_stt_latency.py::{test}'"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["stt-v4-frame", "stt-v6-frame"])
@pytest.mark.parametrize("size", SIZES)
def test_any_fragment_last(receivers, size: int, name: str, width: int) -> None:
    """Whichever of a frame's fragments comes last, whichever came first."""
    card, network, random = receivers[width], NETWORKS[name], Random(size)
    start(card, settings(network))
    sender, delays = Card(network), []
    frame = tcp_frame(4, random.randbytes(size), flags=ACK | PSH)
    for last in range(len(sender.transmit(frame, gso_size=MSS))):
        packets = sender.transmit(frame, gso_size=MSS)
        final = packets.pop(last)
        if last % 2:
            random.shuffle(packets)
        (one,) = card.receive([*packets, final], settle=400 + random.randrange(64), once=True).deliveries
        delays.append(one.cycle - one.last_byte_cycle)
    shown = again(f"test_any_fragment_last[{size}-{name}-{width}]")
    print(delays)
    assert max(delays) <= MOST, f"{delays} cycles, the n-th fragment last, at {PRESETS['10g'].name}; {shown}"
