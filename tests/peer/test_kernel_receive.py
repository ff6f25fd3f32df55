"""Our packets into the Linux kernel's own VXLAN: what comes out there is what our receive path hands up.

::

    frames ── sender ── VXLAN packets ─┬─ the kernel, GRO off ──────── frames ──────┬─ the same
                                       └─ the card ── deliveries ── cut again ──────┘
"""

from collections import defaultdict

import pytest

from sim.card.receive import VirtualReceiver
from sim.card.traffic import Frame
from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.parse import ETHERNET, IPV4, IPV6, TAGS, parse, word
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from sim.model.segment import segment
from tests.path.against_model import start as start_sender
from tests.path.receive_against_model import SHORTEST, start
from tests.peer.namespace import Job, missing, run
from tests.support.frames import samples
from tests.support.networks import TUNNELS, network
from tests.support.receivers import VNET, far_end

REASON = missing()
WIDTH = 8
TUNNEL_NAMES = ("vxlan-v4", "vxlan-v4-csum", "vxlan-v6", "vxlan-v6-csum")
pytestmark = [
    pytest.mark.needs_kernel,
    pytest.mark.skipif(REASON is not None, reason=f"the kernel's receive side: {REASON}"),
]


def settings(name: str) -> ReceiveSettings:
    terminate = Settings([far_end(TUNNELS[name], vnet=VNET)])
    return ReceiveSettings(terminate, Limits(), Steering({0: Vport(VNET)}, {VNET: "flood"}))


def ours(card: VirtualReceiver, name: str, packets: list[bytes]) -> list[bytes]:
    """What our card hands up, super-segments cut again."""
    start(card, settings(name))
    done = card.receive(packets, once=True).deliveries
    assert any(one.gso_size for one in done), "nothing was merged"
    return [
        frame
        for one in done
        for frame in (segment(parse(one.data), one.gso_size, fixed_id=one.fixed_id) if one.gso_size else [one.data])
    ]


def is_cut_short(frame: bytes) -> bool:
    """The kernel drops what ends within its tag and the type behind it, or within a fixed IP header."""
    kind, at = word(frame, 12), ETHERNET
    if kind in TAGS:
        return len(frame) < ETHERNET + 6
    return len(frame) - at < {IPV4: 20, IPV6: 40}.get(kind, 0)


def by_flow(frames: list[bytes]) -> dict[object, list[bytes]]:
    """TCP in its order, all else sorted: what is merged comes up later than what is not."""
    flows: dict[object, list[bytes]] = defaultdict(list)
    for frame in frames:
        headers = parse(frame)
        tcp = (headers.addresses, frame[headers.l4 : headers.l4 + 4]) if headers.tcp else None
        flows[tcp].append(frame)
    flows[None].sort()
    return dict(flows)


@pytest.mark.parametrize("name", TUNNEL_NAMES)
def test_frames(receivers, name: str) -> None:
    """Frames of all kinds, good and hostile, those of a flow in their order."""
    sender, sent = Card(network(TUNNELS[name])), []
    for sample in samples(11, 500, largest=5000):
        sent += sender.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
    packets = [packet.ljust(SHORTEST, b"\0") for packet in sent]
    kernels, cards = run(Job(TUNNELS[name], packets)).frames, ours(receivers[WIDTH], name, packets)
    short = [frame for frame in cards if is_cut_short(frame)]
    again = f"pytest 'tests/peer/test_kernel_receive.py::test_frames[{name}]'"
    assert len(short) < 0.05 * len(cards), again
    whole = [frame for frame in cards if not is_cut_short(frame)]
    assert by_flow(kernels) == by_flow(whole), f"repeat with: {again}"


@pytest.mark.parametrize("name", TUNNEL_NAMES)
def test_a_stream(cards, receivers, name: str) -> None:
    """32 KB writes through our transmit card: the kernel's TCP takes every segment, and reads what we sent."""
    writes = [bytes([number]) + number.to_bytes(4, "big") * 8191 for number in range(1, 5)]
    job = Job(TUNNELS[name], writes=writes)
    answer = run(job)
    assert answer.stream == b"".join(writes)
    start_sender(cards[WIDTH], network(TUNNELS[name]))
    sent = cards[WIDTH].transmit([Frame(frame, gso_size=job.gso_size) for frame in answer.frames]).packets
    assert [packet.data for packet in sent] == answer.packets, "the packets that the kernel took are not the card's"
    start(receivers[WIDTH], settings(name))
    done = receivers[WIDTH].receive(answer.packets, once=True).deliveries
    assert b"".join(parse(one.data).payload for one in done) == answer.stream
    assert len(done) == len(writes) + 2, "a SYN, an ACK, and each write in one frame"
