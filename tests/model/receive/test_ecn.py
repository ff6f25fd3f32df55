"""RFC 6040's table and RFC 2983's two models, in every pair of values."""

from itertools import product
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.parse import parse
from sim.model.receive.verify import BAD, GOOD
from tests.support.frames import arp, ipv4, tcp_frame
from tests.support.networks import TUNNELS, network, tunnel
from tests.support.receivers import far_end, flip, receiver, refresh_ip, take
from tests.support.wire import words_sum

# Rows: inner; columns: outer; both Not-ECT, ECT(0), ECT(1), CE. RFC 6040, figure 4.
NOT, E0, E1, CE = 0b00, 0b10, 0b01, 0b11
TABLE = {
    NOT: (NOT, NOT, NOT, None),
    E0: (E0, E0, E1, CE),
    E1: (E1, E1, E1, CE),
    CE: (CE, CE, CE, CE),
}
PAIRS = [(i, o, TABLE[i][k]) for i in TABLE for k, o in enumerate((NOT, E0, E1, CE))]


def with_outer_tos(packet: bytes, tos: int) -> bytes:
    if packet[12:14] == b"\x08\x00":
        return refresh_ip(packet[:15] + bytes([tos]) + packet[16:])
    return packet[:14] + bytes([0x60 | tos >> 4, (tos & 15) << 4 | packet[15] & 15]) + packet[16:]


def inner_tos(frame: bytes) -> int:
    return parse(frame).tos


@pytest.mark.parametrize("dscp", ["uniform", "pipe"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", ["gre-v4-key", "vxlan-v6-csum", "geneve-v4", "stt-v4-frame"])
@pytest.mark.parametrize(("inner", "outer", "expected"), PAIRS)
def test_whole_table(inner: int, outer: int, expected: int | None, name: str, version: int, dscp: str):
    way = TUNNELS[name]
    frame = tcp_frame(version, b"x" * 99, ip={"tos": 0x14 << 2 | inner})
    packets = Card(network(way)).transmit(frame)
    other = receiver(far_end(way, dscp=dscp))
    found = take(other, [with_outer_tos(packet, 0x2E << 2 | outer) for packet in packets])
    if expected is None:
        assert not found and other.last_reason == "ecn" and other.counters["drop.ecn"] == 1
        return
    (one,) = found
    assert inner_tos(one.frame) == (0x2E if dscp == "uniform" else 0x14) << 2 | expected
    (sent,) = Card(network()).transmit(frame)
    if version == 4:
        assert words_sum(one.frame[14:34]) == 0xFFFF, "corrected with it"
        assert one.frame[:15] + one.frame[16:24] + one.frame[26:] == sent[:15] + sent[16:24] + sent[26:]
    else:
        assert one.frame[:14] + one.frame[16:] == sent[:14] + sent[16:]
        assert (one.frame[14] >> 4, one.frame[15] & 15) == (6, sent[15] & 15), "version and flow label stay"
    assert (one.ip_checksum, one.l4_checksum) == (GOOD if version == 4 else "none", GOOD)


def test_every_tos_against_a_sum_done_anew():
    """RFC 1624's correction gives what a full computation would, for any header and any change."""
    way = tunnel("gre")
    other = receiver(far_end(way, dscp="uniform"))
    for inner, outer in product(range(0, 256, 5), range(0, 256, 3)):
        frame = tcp_frame(4, b"", ip={"tos": inner, "identification": inner * 251 & 0xFFFF})
        (packet,) = Card(network(way)).transmit(frame)
        found = take(other, [with_outer_tos(packet, outer)])
        if inner & 3 == NOT and outer & 3 == CE:
            assert not found
            continue
        changed = frame[:15] + bytes([outer & 0xFC | inner_tos(found[0].frame) & 3]) + frame[16:]
        assert found[0].frame == Card(network()).transmit(changed)[0], (inner, outer)


def test_a_wrong_header_checksum_stays_wrong():
    way = tunnel("gre")
    (packet,) = Card(network(way)).transmit(tcp_frame(4, b"data", ip={"tos": E0}))
    broken = flip(packet, 14 + 20 + 4 + 14 + 10)
    for tos in (E0, CE):
        (one,) = take(receiver(far_end(way)), [with_outer_tos(broken, tos)])
        assert one.ip_checksum == BAD and one.l4_checksum == GOOD
        assert inner_tos(one.frame) == tos and words_sum(one.frame[14:34]) != 0xFFFF


def test_no_ip_no_ecn():
    """ARP has no field to mark, and is no reason to drop."""
    way = tunnel("gre")
    (packet,) = Card(network(way)).transmit(arp())
    (one,) = take(receiver(far_end(way, dscp="uniform")), [with_outer_tos(packet, 0xFF)])
    assert one.frame == arp()


@pytest.mark.parametrize("marked", range(3))
def test_congestion_on_any_fragment_marks_the_frame(marked: int):
    way = tunnel("stt")
    packets = Card(network(way)).transmit(tcp_frame(4, bytes(4000), ip={"tos": E0}), gso_size=1000)
    assert len(packets) == 3
    packets[marked] = with_outer_tos(packets[marked], CE)
    for order in (packets, packets[::-1]):
        (one,) = take(receiver(far_end(way)), order)
        assert inner_tos(one.frame) == CE and one.ip_checksum == GOOD


def test_congestion_on_a_fragment_of_what_cannot_say_so():
    """The whole frame goes, and every one of its packets is counted."""
    way = tunnel("stt")
    packets = Card(network(way)).transmit(tcp_frame(4, bytes(4000)), gso_size=1000)
    other = receiver(far_end(way))
    assert take(other, [packets[0], with_outer_tos(packets[1], CE), packets[2]]) == []
    assert other.counters["drop.ecn"] == 3 and other.held == 0


def test_class_of_a_frame_is_its_first_fragments():
    way = tunnel("stt")
    sent = Card(network(way)).transmit(tcp_frame(4, bytes(4000)), gso_size=1000)
    packets = [with_outer_tos(packet, number << 2) for number, packet in enumerate(sent, 1)]
    for order in (packets, packets[::-1]):
        (one,) = take(receiver(far_end(way, dscp="uniform")), order)
        assert inner_tos(one.frame) == 1 << 2


def test_an_unparsed_inner_header_is_marked_too():
    """Its lengths lie, its TOS does not."""
    way: Any = tunnel("gre")
    frame = bytes(12) + b"\x08\x00" + ipv4(6, b"short", tos=E0)[:-5] + b"tcp"
    (packet,) = Card(network(way)).transmit(frame)
    (one,) = take(receiver(far_end(way)), [with_outer_tos(packet, CE)])
    assert parse(one.frame).unparsed and inner_tos(one.frame) == CE
