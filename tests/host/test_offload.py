"""Where a frame's gso_size comes from: its comment, then the option, then what fits."""

import pytest

from host.config import parse
from host.offload import Offload, comment, decide, from_comments
from host.packets import CapturedPacket, CaptureError
from tests.host.conftest import CONFIG
from tests.support.frames import C_TAG, TIMESTAMPS, arp, tcp_frame, udp_frame

DATA = bytes(9000)
NO_TYPE = "in its comment is none of none, tcpv4, tcpv6, udp, udp_l4, ecn, accecn"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ((), Offload()),
        (("just a note",), Offload()),
        (("gso_size=1410 gso_type=tcpv4",), Offload(1410)),
        (("gso_type=tcpv6|ecn gso_size=88",), Offload(88)),
        (("gso_size=1410 gso_type=tcpv4|ecn|accecn",), Offload(1410, True)),
        (("a note", "gso_size=7 gso_type=tcpv4"), Offload(7)),
        (("gso_size=1410 gso_type=none",), Offload(0)),
        (("gso_type=none",), Offload(0)),
        (("gso_type=tcpv4|accecn",), Offload(None, True)),
        (("gso_size=0",), Offload(0)),
        (("gso_size=1410, gso_type=tcpv4",), Offload(1410)),
        (("gso_size: 1410; gso_type: 1",), Offload(1410)),
        (('{"gso_size": 1410, "gso_type": 132}',), Offload(1410)),
        (("gso_size=1410 gso_type=0",), Offload(0)),
        (("gso_size=1410 gso_type=17",), Offload(1410, True)),
        (("gso_size=1410 gso_type=0x94",), Offload(1410, True)),
        (("gso_size=1410 gso_type=0x84",), Offload(1410)),
        (("gso_size=1400 gso_type=udp",), Offload(0)),
        (("gso_size=1400 gso_type=5",), Offload(0)),
        (("gso_size=1410 gso_type=VIRTIO_NET_HDR_GSO_TCPV4|VIRTIO_NET_HDR_GSO_ECN",), Offload(1410)),
    ],
)
def test_comments(text: tuple[str, ...], meant: Offload) -> None:
    assert from_comments(text) == meant


@pytest.mark.parametrize("offload", [Offload(0), Offload(1410), Offload(9, True)])
def test_comment_is_read_back(offload: Offload) -> None:
    assert from_comments((comment(offload, tcp_frame(4, DATA)),)) == offload
    assert comment(offload, udp_frame(4, DATA)) == comment(offload, b"short") == "gso_size=0 gso_type=none"


def test_comment_says_what_the_host_would() -> None:
    assert comment(Offload(9, True), tcp_frame(4, DATA)) == "gso_size=9 gso_type=tcpv4|accecn"
    assert comment(Offload(1), tcp_frame(6, b"xy", tags=[(C_TAG, 1)])) == "gso_size=1 gso_type=tcpv6"
    assert comment(Offload(2), tcp_frame(6, b"xy")) == "gso_size=0 gso_type=none"  # one segment: nothing to cut


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gso_size=x", "packet 3: gso_size=x in its comment is not a number from 0 to 65535"),
        ("gso_size=65536", "packet 3: gso_size=65536 in its comment is not a number from 0 to 65535"),
        ("gso_size=-1", "packet 3: gso_size=-1 in its comment is not a number from 0 to 65535"),
        ("gso_size=", "packet 3: gso_size= in its comment is not a number from 0 to 65535"),
        ("gso_size=1 gso_type=sctp", f"packet 3: gso_type=sctp {NO_TYPE}"),
        ("gso_size=1 gso_type=2", f"packet 3: gso_type=2 {NO_TYPE}"),
        ("gso_size=0x3e8", "packet 3: gso_size=0x3e8 in its comment is not a number from 0 to 65535"),
    ],
)
def test_comments_that_make_no_sense(text: str, message: str) -> None:
    packet = CapturedPacket(tcp_frame(4, DATA), comments=(text,))
    with pytest.raises(CaptureError) as caught:
        decide(packet, 3, parse(CONFIG).model_network(), vport=0, vport_mtu=None, gso_size=None)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("frame", "vport_mtu", "largest"),
    [
        (tcp_frame(4, DATA), None, 1500 - 20 - 8 - 14 - 40),
        (tcp_frame(4, DATA, options=TIMESTAMPS), None, 1500 - 20 - 8 - 14 - 52),
        (tcp_frame(4, DATA, tags=[(C_TAG, 5)]), None, 1500 - 20 - 8 - 18 - 40),
        (tcp_frame(6, DATA), None, 1500 - 20 - 8 - 14 - 60),
        (tcp_frame(4, DATA), 1450, 1450 - 40),
        (tcp_frame(4, DATA, tags=[(C_TAG, 5)]), 1450, 1450 - 40),
        (udp_frame(4, DATA), None, 0),
        (arp(), None, 0),
        (b"short", None, 0),
        (b"", None, 0),
    ],
)
def test_default_is_the_largest_that_fits(frame: bytes, vport_mtu: int | None, largest: int) -> None:
    """GRE with a key, MTU 1500: 20 + 8 bytes and the inner Ethernet header are not the guest's."""
    network = parse(CONFIG).model_network()
    packet = CapturedPacket(frame)
    assert decide(packet, 1, network, vport=0, vport_mtu=vport_mtu, gso_size=None) == Offload(largest)


def test_what_wins() -> None:
    network = parse(CONFIG).model_network()

    def size(gso_size: int | None, *comments: str) -> int | None:
        packet = CapturedPacket(tcp_frame(4, DATA), comments=comments)
        return decide(packet, 1, network, vport=0, vport_mtu=1450, gso_size=gso_size).gso_size

    assert size(None) == 1410
    assert size(1000) == 1000
    assert size(1000, "gso_size=500 gso_type=tcpv4") == 500
    assert size(1000, "gso_type=tcpv4|ecn") == 1000
    assert size(1000, "gso_type=none") == 0
