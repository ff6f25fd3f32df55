"""STT: what is in its two headers, how frames are cut, and what goes as a super-frame."""

from dataclasses import replace
from struct import pack

import pytest

from sim.model.card import Card
from sim.model.parse import parse
from tests.support.frames import (
    ACK,
    C_TAG,
    CWR,
    DESTINATION,
    ICMP,
    IPV4,
    PSH,
    S_TAG,
    TIMESTAMPS,
    arp,
    ethernet,
    extension,
    ipv4,
    tcp_frame,
    udp_frame,
)
from tests.support.networks import CONTEXT, NETWORKS, network, tunnel
from tests.support.wire import SttFrame, outer, stt_frames, words_sum

VERIFIED, PARTIAL, IS_IPV4, IS_TCP = 1, 2, 4, 8
DATA = bytes(range(256)) * 20


def send(
    frame: bytes, gso_size: int = 0, *, mode: str = "frame", version: int = 4, accecn: bool = False
) -> list[SttFrame]:
    card = Card(NETWORKS[f"stt-v{version}-{mode}"])
    return stt_frames(card.transmit(frame, gso_size=gso_size, accecn=accecn))


def plain(frame: bytes, gso_size: int = 0, accecn: bool = False) -> list[bytes]:
    """The same frame's packets without a tunnel."""
    return Card(NETWORKS["plain"]).transmit(frame, gso_size=gso_size, accecn=accecn)


def folded_pseudo_header(frame: bytes) -> bytes:
    headers = parse(frame)
    source, destination = headers.addresses
    return words_sum(source + destination + pack("!IBBH", len(frame) - headers.l4, 0, 0, 6)).to_bytes(2, "big")


class TestSuperFrame:
    @pytest.mark.parametrize("outer_version", [4, 6])
    @pytest.mark.parametrize("version", [4, 6])
    def test_whole(self, outer_version: int, version: int):
        frame = tcp_frame(version, DATA, options=TIMESTAMPS, flags=ACK | PSH, checksum=0x1111)
        (whole,) = send(frame, 1000, version=outer_version)
        l4 = parse(frame).l4
        assert whole.flags == PARTIAL | IS_TCP | (IS_IPV4 if version == 4 else 0)
        assert (whole.mss, whole.l4_offset, whole.tag, whole.context) == (1000, l4, 0, CONTEXT)
        assert whole.inner[l4 + 16 : l4 + 18] == folded_pseudo_header(frame)
        assert whole.inner[l4:] == frame[l4 : l4 + 16] + folded_pseudo_header(frame) + frame[l4 + 18 :]
        assert whole.inner[:24] == frame[:24]
        if version == 4:
            assert words_sum(whole.inner[14:34]) == 0xFFFF

    def test_every_byte_of_the_headers(self):
        frame = tcp_frame(4, DATA, tags=[(C_TAG, 0xF064)])
        first = Card(NETWORKS["stt-v4-frame"]).transmit(frame, gso_size=1000)[0]
        length = 18 + len(frame) - 4
        sport = outer(first).ports[0]
        assert first[34:54] == pack(
            "!HHHHIBBHHH", sport, 7471, length, 0, 0, 0x50, 0x10, 0, int.from_bytes(first[50:52], "big"), 0
        )
        # PCP 7, V, VID 0x064: the drop bit's place is V's
        assert first[54:72] == bytes.fromhex("00 0e 22 00 03e8 f064 0123456789abcdef 0000")
        assert first[72:84] == frame[:12] and first[84:86] == b"\x08\x00"

    @pytest.mark.parametrize(("tci", "word"), [(0x0000, 0x1000), (0x6064, 0x7064), (0x1FFF, 0x1FFF), (0xFFFF, 0xFFFF)])
    def test_a_tag_moves_out(self, tci: int, word: int):
        frame = tcp_frame(6, DATA, tags=[(C_TAG, tci)])
        (whole,) = send(frame, 1000)
        assert whole.tag == word and whole.inner[:14] == frame[:12] + b"\x86\xdd"
        assert whole.l4_offset == 54 == parse(whole.inner).l4

    def test_only_the_outermost_and_only_a_c_tag(self):
        (whole,) = send(tcp_frame(4, DATA, tags=[(C_TAG, 1), (S_TAG, 2)]), 1000)
        assert whole.tag == 0x1001 and whole.inner[12:16] == b"\x88\xa8\x00\x02" and whole.l4_offset == 38
        (whole,) = send(tcp_frame(4, DATA, tags=[(S_TAG, 1), (C_TAG, 2)]), 1000)
        assert whole.tag == 0 and whole.inner[12:20] == b"\x88\xa8\x00\x01\x81\x00\x00\x02" and whole.l4_offset == 42

    @pytest.mark.parametrize(("mtu", "version"), [(640, 4), (1500, 4), (1500, 6), (9216, 4), (9001, 6)])
    def test_every_packet_but_the_last_is_full(self, mtu: int, version: int):
        card = Card(network(tunnel("stt", version, mtu=mtu), mtu=9216))
        frame = tcp_frame(4, bytes(60000))
        packets = [outer(packet) for packet in card.transmit(frame, gso_size=1460)]
        capacity = mtu - (20 if version == 4 else 40) - 20
        assert {packet.length for packet in packets[:-1]} == {mtu} and packets[-1].length <= mtu
        assert len(packets) == -(-(18 + len(frame)) // capacity)

    def test_only_what_needs_cutting(self):
        (whole,) = send(tcp_frame(4, bytes(1000)), 1000)
        assert (whole.mss, whole.flags) == (0, VERIFIED | IS_IPV4 | IS_TCP)
        (whole,) = send(tcp_frame(4, bytes(1001)), 1000)
        assert (whole.mss, whole.flags) == (1000, PARTIAL | IS_IPV4 | IS_TCP)

    def test_one_that_fits_in_a_packet(self):
        frame = tcp_frame(4, bytes(1000))
        (whole,) = send(frame, 100)
        assert whole.packets == 1 and whole.mss == 100 and whole.flags & PARTIAL

    def test_a_frame_of_exactly_full_packets(self):
        capacity = 1500 - 40
        frame = tcp_frame(4, bytes(2 * capacity - 18 - 54))
        assert send(frame, 1000)[0].packets == 2
        assert send(frame + b"", 1000)[0].inner[-1:] == b"\0"
        assert send(tcp_frame(4, bytes(2 * capacity - 18 - 53)), 1000)[0].packets == 3


class TestSegmentedFirst:
    def test_cwr(self):
        frame = tcp_frame(4, DATA, flags=ACK | CWR)
        for accecn in (False, True):
            frames = send(frame, 1000, accecn=accecn)
            assert [one.inner for one in frames] == plain(frame, 1000, accecn)
            assert {(one.mss, one.flags, one.l4_offset, one.packets) for one in frames} == {
                (0, VERIFIED | IS_IPV4 | IS_TCP, 0, 1)
            }
            assert [one.identifier for one in frames] == list(range(6))

    def test_beyond_64_kib(self):
        fits = tcp_frame(4, bytes(65535 - 18 - 54))
        (whole,) = send(fits, 1300)
        assert len(whole.inner) == 65517 and whole.mss == 1300
        over = tcp_frame(4, bytes(65535 - 18 - 53))
        assert [one.inner for one in send(over, 1300)] == plain(over, 1300)

    def test_a_tag_that_moves_out_makes_room(self):
        frame = tcp_frame(4, bytes(65535 - 18 - 54), tags=[(C_TAG, 1)])
        assert len(send(frame, 1300)) == 1
        assert len(send(tcp_frame(4, bytes(65535 - 18 - 54), tags=[(S_TAG, 1)]), 1300)) > 1

    def test_l4_beyond_255(self):
        def frame(size: int, payload: int = 3000) -> bytes:
            return tcp_frame(6, bytes(payload), tags=[(C_TAG, 1)], ip={"extensions": [(DESTINATION, extension(size))]})

        (whole,) = send(frame(200), 1000)
        assert (whole.l4_offset, whole.mss) == (254, 1000)
        frames = send(frame(208), 1000)
        assert {(one.l4_offset, one.flags, one.mss) for one in frames} == {(0, VERIFIED | IS_TCP, 0)}
        assert len(frames) == 3
        (small,) = send(frame(208, 10))
        assert (small.l4_offset, small.flags) == (0, VERIFIED | IS_TCP)
        (small,) = send(frame(200, 10))
        assert (small.l4_offset, small.flags) == (0, VERIFIED | IS_TCP)

    def test_each_must_fit_in_one_packet(self):
        largest = 1500 - 20 - 20 - 18 - 54
        frame = tcp_frame(4, DATA, flags=CWR)
        assert {one.packets for one in send(frame, largest)} == {1}
        card = Card(NETWORKS["stt-v4-frame"])
        assert card.transmit(frame, gso_size=largest + 1) == [] and card.last_drop == "mtu"
        assert card.transmit(tcp_frame(4, DATA), gso_size=largest + 1) != []  # a super-frame always fits


class TestSegmentMode:
    def test_a_frame_a_segment(self):
        frame = tcp_frame(6, DATA)
        frames = send(frame, 1000, mode="segment")
        assert [one.inner for one in frames] == plain(frame, 1000)
        assert {(one.mss, one.flags, one.l4_offset, one.packets) for one in frames} == {(0, VERIFIED | IS_TCP, 0, 1)}

    def test_each_must_fit_in_one_packet(self):
        largest = 1500 - 20 - 20 - 18 - 54
        card = Card(NETWORKS["stt-v4-segment"])
        assert len(card.transmit(tcp_frame(4, DATA), gso_size=largest)) == 4
        assert len(card.transmit(tcp_frame(4, DATA, tags=[(C_TAG, 1)]), gso_size=largest)) == 4
        assert card.transmit(tcp_frame(4, DATA, tags=[(S_TAG, 1)]), gso_size=largest) == []
        assert card.transmit(tcp_frame(4, DATA), gso_size=largest + 1) == []
        assert card.transmit(ethernet(0x88B5, bytes(largest + 54 - 14))) != []
        assert card.transmit(ethernet(0x88B5, bytes(largest + 54 - 13))) == []
        assert card.counters["drop.mtu"] == 3


class TestOtherFrames:
    def test_frame_mode_cuts_any_frame(self):
        frame = ethernet(0x88B5, bytes(4000))
        (whole,) = send(frame)
        assert (whole.inner, whole.flags, whole.l4_offset, whole.mss, whole.packets) == (frame, 0, 0, 0, 3)

    def test_but_none_that_is_longer_than_the_card_holds(self):
        card = Card(NETWORKS["stt-v4-frame"])
        assert card.transmit(ethernet(0x88B5, bytes(9238 - 14))) != []
        assert card.transmit(ethernet(0x88B5, bytes(9238 - 13))) == [] and card.last_drop == "mtu"
        assert card.transmit(ethernet(0x88B5, bytes(9238 - 14), tags=[(C_TAG, 1)])) != []

    def test_large_tcp_without_gso_size_is_verified(self):
        frame = tcp_frame(4, DATA)
        (whole,) = send(frame)
        assert (whole.flags, whole.mss) == (VERIFIED | IS_IPV4 | IS_TCP, 0) and [whole.inner] == segments_uncut(frame)

    def test_udp(self):
        assert send(udp_frame(4, b"x"))[0].flags == VERIFIED | IS_IPV4
        assert send(udp_frame(6, b"x"))[0].flags == VERIFIED
        assert send(udp_frame(4, b"x"))[0].l4_offset == 0

    def test_nothing_is_verified_where_nothing_was_computed(self):
        for frame in (
            udp_frame(4, b"x", checksum=0),
            arp(),
            ethernet(IPV4, ipv4(ICMP, b"ping")),
            tcp_frame(4, b"x", ip={"flags_and_offset": 0x2000}),
            tcp_frame(4, b"x")[:-1],
        ):
            (one,) = send(frame)
            assert (one.flags, one.l4_offset, one.mss) == (0, 0, 0)

    def test_tag_of_a_frame_of_no_ip(self):
        (one,) = send(ethernet(0x88B5, b"data", tags=[(C_TAG, 0x0FFF)]))
        assert one.tag == 0x1FFF and one.inner == ethernet(0x88B5, b"data")

    def test_a_trailer_goes_with_the_frame(self):
        frame = tcp_frame(4, b"odd") + b"trailer"
        (one,) = send(frame, 1)
        assert one.inner.endswith(b"oddtrailer") and one.mss == 0 and one.flags & VERIFIED


def segments_uncut(frame: bytes) -> list[bytes]:
    """The frame with complete checksums, through a network with room for it."""
    return Card(replace(NETWORKS["plain"], mtu=65535)).transmit(frame)


def test_identifiers_count_frames_of_the_card():
    card = Card(network(tunnel("stt"), tunnel("stt", 6, stt_mode="segment"), tunnel("gre")))
    card.stt_identifier = 0xFFFFFFFE
    sent = []
    for vport in (0, 1, 2, 0):
        packets = card.transmit(tcp_frame(4, DATA[:2500]), vport=vport, gso_size=1300)
        sent += [one.identifier for one in stt_frames(packets)] if vport < 2 else []
    assert sent == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
