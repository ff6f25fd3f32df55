"""STT frames: fragments in any order, and fragments that lie."""

from functools import reduce
from ipaddress import ip_address
from itertools import pairwise
from operator import xor
from random import Random
from struct import pack
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.parse import parse
from sim.model.receive.reassemble import source_class
from sim.model.receive.receiver import Receiver
from sim.model.receive.verify import BAD, GOOD, NONE, PARTIAL
from sim.model.segment import finish, finish_partial
from tests.support.frames import C_TAG, TIMESTAMPS, arp, tcp_frame, udp_frame
from tests.support.networks import CONTEXT, network, tunnel
from tests.support.receivers import account, far_end, flip, receiver, refresh_ip, stt_packet, take
from tests.support.wire import stt_frames

WAY = tunnel("stt")
OTHER = bytes([192, 0, 2, 99])


def header(
    *, version: int = 0, flags: int = 0, l4: int = 0, mss: int = 0, tag: int = 0, context: int = CONTEXT
) -> bytes:
    return pack("!BBBxHHQxx", version, flags, l4, mss, tag, context)


FRAME = header() + bytes(range(256)) * 4  # an inner frame that is no IP: its bytes come out as they are
TOTAL = len(FRAME)


def piece(start: int, end: int, *, identifier: int = 1, total: int = TOTAL, source: bytes | None = None) -> bytes:
    data = FRAME[start:end]
    if source is None:
        return stt_packet(identifier, total, start, data)
    return stt_packet(identifier, total, start, data, source=source)


def ours(**more: object) -> Receiver:
    return receiver(far_end(WAY), **more)


def reasons(other: Receiver) -> dict[str, int]:
    return {name[5:]: number for name, number in other.counters.items() if number and name.startswith("drop.")}


class TestAnyOrder:
    @pytest.mark.parametrize("seed", range(40))
    def test_frames_of_every_size(self, seed: int):
        """Frames from nothing to 64 KiB, several at once, all their fragments shuffled."""
        random = Random(seed)
        card, other = Card(network(tunnel("stt", random.choice((4, 6))))), None
        sent, frames = [], []
        for _ in range(random.randint(1, 5)):
            payload = random.randbytes(random.choice((1, 1401, 5000, random.randint(1, 65000), 65400)))
            tags = random.choice(([], [(C_TAG, 0xE064)]))
            frame = tcp_frame(random.choice((4, 6)), payload, options=TIMESTAMPS, tags=tags)
            sent.append(card.transmit(frame, gso_size=1400))
            frames.append(Card(network(mtu=9216)).transmit(frame, gso_size=1400))
        expected = [stt_frames(packets) for packets in sent]
        packets = [packet for part in sent for packet in part]
        random.shuffle(packets)
        other = receiver(far_end(card.network.tunnels[0]))
        found = take(other, packets)
        message = f"seed {seed}: pytest '{__file__}' -k 'every_size and {seed}'"
        assert sorted(one.frame for one in found) == sorted(one.inner for part in expected for one in part), message
        again = [Card(network(mtu=9216)).transmit(one.complete, gso_size=one.gso_size) for one in found]
        assert sorted(again) == sorted(frames), "cut again by the MSS it carries: what plain segmentation gives"
        assert other.held == 0 and reasons(other) == {}, message

    def test_every_order_of_four(self):
        from itertools import permutations

        edges = ((0, 100), (100, 101), (101, 700), (700, TOTAL))
        for order in permutations(edges):
            other = ours()
            found = [other.receive(piece(*edge)) for edge in order]
            assert [one is None for one in found] == [True, True, True, False], order
            assert found[3] is not None and found[3].frame == FRAME[18:] and found[3].packets == 4, order

    def test_one_byte_at_a_time(self):
        other = ours(holes=2)
        found = take(other, [piece(0, 18), *(piece(at, at + 1) for at in range(18, TOTAL))])
        assert [one.frame for one in found] == [FRAME[18:]]

    def test_one_packet_is_a_frame(self):
        (one,) = take(ours(), [piece(0, TOTAL)])
        assert one.frame == FRAME[18:] and one.packets == 1

    def test_longest(self):
        frame = header() + Random(1).randbytes(65535 - 18)
        packets = [stt_packet(9, 65535, at, frame[at : at + 1460]) for at in range(0, 65535, 1460)]
        (one,) = take(ours(), packets[::-1])
        assert one.frame == frame[18:] and one.packets == 45

    def test_every_second_first(self):
        """The most holes that a frame at MTU 1500 can have are few enough."""
        frame = header() + Random(1).randbytes(65535 - 18)
        packets = [stt_packet(9, 65535, at, frame[at : at + 1460]) for at in range(0, 65535, 1460)]
        (one,) = take(ours(), packets[1::2] + packets[::2])
        assert one.frame == frame[18:]

    def test_a_longer_header(self):
        """The data offset says where the bytes start, as in TCP."""
        (one,) = take(ours(), [stt_packet(1, TOTAL, 0, b"opts" + FRAME, words=6)])
        assert one.frame == FRAME[18:]
        for words in (0, 4, 15):
            other = ours()
            assert other.receive(stt_packet(1, 40, 0, FRAME[:39], words=words)) is None
            assert other.last_reason == "outer_length", words

    def test_ports_flags_and_window_say_nothing(self):
        """OVS sends a window of 0xFFFF."""
        other = ours()
        other.receive(stt_packet(1, TOTAL, 0, FRAME[:500], port=1, window=0xFFFF, flags=0x18))
        one = other.receive(stt_packet(1, TOTAL, 500, FRAME[500:], port=2, flags=0x30))
        assert one is not None and one.frame == FRAME[18:]


class TestHostile:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (piece(0, 500), "stt_duplicate"),
            (piece(100, 300), "stt_duplicate"),
            (piece(400, 600), "stt_overlap"),
            (piece(499, TOTAL), "stt_overlap"),
            (piece(500, 701), "stt_overlap"),
            (piece(600, 900), "stt_overlap"),
            (piece(500, 600, total=TOTAL + 1), "stt_total"),
            (piece(500, 600, total=65535), "stt_total"),
            (stt_packet(1, TOTAL, 500, b""), "stt_empty"),
            (stt_packet(1, TOTAL, TOTAL - 1, b"xx"), "stt_length"),
            (stt_packet(1, TOTAL, TOTAL, b"x"), "stt_length"),
            (stt_packet(1, TOTAL, 65535, b"x"), "stt_length"),
            (stt_packet(1, 500, 0, FRAME[:501]), "stt_length"),
            (stt_packet(1, 31, 18, b"x"), "stt_length"),
            (stt_packet(1, TOTAL, 0, FRAME[:17]), "stt_header"),
            (stt_packet(1, TOTAL, 17, FRAME[17:30]), "stt_header"),
            (stt_packet(1, TOTAL, 1, FRAME[1:30]), "stt_header"),
            (stt_packet(1, TOTAL, 0, header(version=1) + b"x"), "stt_version"),
            (stt_packet(1, TOTAL, 0, header(flags=3) + b"x"), "stt_flags"),
        ],
    )
    def test_a_bad_fragment_changes_nothing(self, bad: bytes, reason: str):
        """[0, 500) and [700, 800) are here; the frame becomes whole all the same, with the right bytes."""
        other = ours()
        assert take(other, [piece(700, 800), piece(0, 500)]) == []
        for _ in range(2):
            assert other.receive(bad) is None and other.last_reason == reason
        assert other.held == 2
        found = take(other, [piece(500, 700), piece(800, TOTAL)])
        assert [(one.frame, one.packets) for one in found] == [(FRAME[18:], 4)]
        assert reasons(other) == {reason: 2}
        account(other)

    @pytest.mark.parametrize("bad", [stt_packet(1, 31, 0, FRAME[:31]), stt_packet(1, TOTAL, 0, header(version=9))])
    def test_a_bad_first_fragment_opens_nothing(self, bad: bytes):
        other = ours()
        assert take(other, [bad]) == [] and other.held == 0 and not other.frames.open

    def test_first_come_is_believed(self):
        """Other bytes for the same place come too late."""
        other = ours()
        fake = stt_packet(1, TOTAL, 500, bytes(100))
        found = take(other, [piece(500, 600), fake, piece(0, 500), fake, piece(600, TOTAL)])
        assert [one.frame for one in found] == [FRAME[18:]] and reasons(other) == {"stt_duplicate": 2}

    def test_too_many_holes(self):
        other = ours(holes=4)
        assert take(other, [piece(at, at + 10) for at in (100, 200, 300)]) == []
        assert take(other, [piece(400, 410)]) == [] and reasons(other) == {"stt_holes": 1}
        assert take(other, [piece(410, TOTAL)]) == [], "one that leaves no more of them is welcome"
        assert take(other, [piece(350, 360)]) == [] and reasons(other) == {"stt_holes": 2}
        assert take(other, [piece(0, 100), piece(350, 360)]) == [] and reasons(other) == {"stt_holes": 2}
        closing = [piece(310, 350), piece(360, 410), piece(110, 200), piece(210, 300)]
        assert [one.frame for one in take(other, closing)] == [FRAME[18:]]

    def test_a_hole_at_the_default_limit(self):
        other = ours()
        take(other, [piece(18 + 20 * k, 18 + 20 * k + 1) for k in range(1, 25)])
        assert reasons(other) == {"stt_holes": 1}, "24 pieces leave 25 holes"

    def test_checksum_is_over_the_bytes_as_they_came(self):
        good = piece(0, 500)
        for at in range(34, len(good)):
            other = ours()
            assert other.receive(flip(good, at, at & 7)) is None
            if at in (36, 37):  # another port: no STT
                assert other.last_reason == "not_terminated"
            elif at == 46:  # data offset
                assert other.last_reason in ("stt_checksum", "outer_length")
            else:
                assert other.last_reason == "stt_checksum", at
            assert other.held == 0


class TestIdentifiers:
    def test_source_destination_and_identifier_tell_frames_apart(self):
        """Their halves come mixed, and never together."""
        other = ours()
        halves = [{"identifier": 1}, {"identifier": 2}, {"identifier": 1, "source": OTHER}]
        assert take(other, [piece(0, 500, **half) for half in halves]) == []
        assert len(other.frames.open) == 3
        found = take(other, [piece(500, TOTAL, **half) for half in halves])
        assert [str(one.source) for one in found] == ["192.0.2.1", "192.0.2.1", "192.0.2.99"]

    def test_reuse_after_completion(self):
        other = ours()
        found = take(other, [piece(0, 500), piece(500, TOTAL)] * 3)
        assert [one.frame for one in found] == [FRAME[18:]] * 3 and reasons(other) == {}

    def test_reuse_while_open_by_a_shorter_frame(self):
        """The older frame keeps its claim until its time is over."""
        other = ours(timeout=1.0)
        assert take(other, [piece(0, 500)], 0.0) == []
        short = stt_packet(1, 600, 0, FRAME[:600])
        assert take(other, [short], 0.999) == [] and other.last_reason == "stt_total"
        (one,) = take(other, [short], 1.0)
        assert one.frame == FRAME[18:600] and reasons(other) == {"stt_total": 1, "stt_timeout": 1}

    def test_a_late_duplicate_is_held_and_given_up(self):
        other = ours(timeout=2.0)
        assert len(take(other, [piece(0, 500), piece(500, TOTAL), piece(500, TOTAL)], 5.0)) == 1
        assert other.held == 1
        other.expire(6.9)
        assert other.held == 1
        other.expire(7.0)
        account(other)
        assert other.held == 0 and reasons(other) == {"stt_timeout": 1}


class TestContexts:
    def test_one_that_goes_on_is_not_evicted(self):
        other = ours(contexts=3, class_contexts=3)
        assert take(other, [piece(0, 500, identifier=k) for k in (1, 2, 3)]) == []
        assert take(other, [piece(500, 600, identifier=1)]) == []
        assert take(other, [piece(0, 500, identifier=4)]) == []
        assert reasons(other) == {"stt_evicted": 1} and other.held == 4, "2 is gone"
        found = take(other, [piece(500, TOTAL, identifier=3), piece(600, TOTAL, identifier=1)])
        assert len(found) == 2 and other.frames.peak == 3 and other.held == 1

    @pytest.mark.parametrize("apart", [False, True])
    @pytest.mark.parametrize("flood", [1, 60, 500])
    def test_a_flood_of_frames_that_never_become_whole(self, flood: int, apart: bool):
        """From the same source an honest frame stands up to it while it is not silent for a round of all the others.

        From another class of sources it stands up to any: that class makes room among its own.
        """
        honest, random, identifier = 16, Random(flood), 0
        other = ours(class_contexts=None if apart else 64)
        source = bytes([192, 0, 2, 2]) if apart else None
        cuts = list(pairwise([*range(0, TOTAL, 100), TOTAL]))
        frames = [random.sample(cuts, len(cuts)) for _ in range(honest if apart else 1)]
        whole = []
        for cut in range(len(cuts)):
            for number, order in enumerate(frames):
                whole += take(other, [piece(*order[cut], identifier=10**6 + number)])
            for _ in range(flood):
                identifier += 1
                whole += take(other, [piece(0, 50, identifier=identifier, source=source)])
        assert {one.frame for one in whole} == ({FRAME[18:]} if apart or flood < 63 else set())
        assert len(whole) == (len(frames) if apart or flood < 63 else 0)

    def test_class_of_a_source(self):
        """The XOR of all its 4-bit digits."""
        for address in ("192.0.2.1", "255.240.0.15", "2001:db8::1", "fdee::10", "0.0.0.16", "::"):
            digits = ip_address(address).packed.hex()
            assert source_class(ip_address(address).packed) == reduce(xor, (int(digit, 16) for digit in digits)), (
                address
            )

    def test_a_class_has_its_share(self):
        """It is the XOR of the source's 4-bit digits."""
        other = ours(contexts=4, class_contexts=2)
        assert take(other, [piece(0, 500, identifier=k) for k in range(6)]) == []
        assert reasons(other) == {"stt_evicted": 4} and len(other.frames.open) == 2
        take(other, [piece(0, 500, source=bytes([192, 0, 2, 2]))])
        assert reasons(other) == {"stt_evicted": 4} and len(other.frames.open) == 3
        take(other, [piece(0, 500, identifier=k) for k in range(10, 20)])
        assert reasons(other) == {"stt_evicted": 14}
        assert sum(key[0] == bytes([192, 0, 2, 2]) for key in other.frames.open) == 1, "it was below its share"

    def test_a_frame_in_one_packet_needs_no_context(self):
        other = ours(contexts=1)
        assert take(other, [piece(0, 500, identifier=1)]) == []
        assert len(take(other, [piece(0, TOTAL, identifier=2)])) == 1
        assert len(take(other, [piece(500, TOTAL, identifier=1)])) == 1 and reasons(other) == {}

    def test_a_refused_fragment_evicts_nothing(self):
        other = ours(contexts=1)
        take(other, [piece(0, 500), stt_packet(2, 31, 0, FRAME[:31]), flip(piece(0, 500, identifier=2), 80)])
        assert reasons(other) == {"stt_length": 1, "stt_checksum": 1} and other.held == 1

    def test_time_runs_from_the_opening(self):
        other = ours(timeout=10.0)
        assert take(other, [piece(0, 500)], 0.0) == [] and take(other, [piece(500, 600)], 9.0) == []
        assert take(other, [piece(600, TOTAL)], 10.0) == []
        assert reasons(other) == {"stt_timeout": 2} and other.held == 1

    def test_just_in_time(self):
        other = ours(timeout=10.0)
        assert take(other, [piece(0, 500)], 0.0) == []
        assert len(take(other, [piece(500, TOTAL)], 9.999)) == 1

    def test_missing_fragments(self):
        """One of five in each of a hundred frames is lost: none comes out, none is forgotten."""
        random, other = Random(5), ours(contexts=64, class_contexts=64, timeout=30.0)
        cuts = [(0, 200), (200, 400), (400, 600), (600, 800), (800, TOTAL)]
        for identifier in range(100):
            kept = random.sample(cuts, 4)
            assert take(other, [piece(*cut, identifier=identifier) for cut in kept], identifier * 0.1) == []
        assert other.held == 64 * 4 and reasons(other) == {"stt_evicted": 36 * 4}
        other.expire(100.0)
        account(other)
        assert other.held == 0 and reasons(other) == {"stt_evicted": 36 * 4, "stt_timeout": 64 * 4}


class TestWhatIsDelivered:
    def test_a_super_frame(self):
        frame = tcp_frame(4, bytes(5000), tags=[(C_TAG, 0xE064)])
        (one,) = take(ours(), Card(network(WAY)).transmit(frame, gso_size=1000))
        assert (one.gso_size, one.l4_checksum, one.ip_checksum, one.tag) == (1000, PARTIAL, GOOD, 0xE064)
        assert one.frame[12:14] == b"\x08\x00" and one.complete[12:18] == bytes.fromhex("8100e0640800")

    @pytest.mark.parametrize(("make", "status"), [(tcp_frame, GOOD), (udp_frame, GOOD)])
    def test_a_small_one(self, make: object, status: str):
        (one,) = take(ours(), Card(network(WAY)).transmit(make(4, b"data"), gso_size=1000))  # type: ignore[operator]
        assert (one.gso_size, one.l4_checksum, one.tag) == (0, status, None)

    def test_no_ip(self):
        (one,) = take(ours(), Card(network(WAY)).transmit(arp()))
        assert (one.ip_checksum, one.l4_checksum, one.frame) == (NONE, NONE, arp())

    def send(self, frame: bytes, **fields: int) -> list[object]:
        data = header(**fields) + frame
        (one,) = take(ours(), [stt_packet(1, len(data), 0, data)])
        return [one.gso_size, one.l4_checksum]

    def test_partial_is_believed_only_if_the_sum_is_there(self):
        whole = stt_frames(Card(network(WAY)).transmit(tcp_frame(4, bytes(1200)), gso_size=1000))[0]
        assert self.send(whole.inner, flags=2, mss=1000) == [1000, PARTIAL]
        assert self.send(flip(whole.inner, 50), flags=2, mss=1000) == [0, BAD]
        assert self.send(whole.inner, flags=1, mss=0) == [0, BAD], "said to be verified: we look for ourselves"

    def test_both_zeros_of_the_pseudo_header(self):
        """A sum of 0xFFFF may stand there as 0."""
        for port in range(0x10000):  # the addresses make the sum; find some that make it 0xFFFF
            addresses = (bytes([10, 1, port >> 8, port & 255]), bytes([10, 2, 0, 2]))
            frame = tcp_frame(4, bytes(1200), ip={"addresses": addresses})
            if (sum(int.from_bytes(a[k : k + 2], "big") for a in addresses for k in (0, 2)) + 6 + 1220) % 0xFFFF == 0:
                break
        (whole,) = stt_frames(Card(network(WAY)).transmit(frame, gso_size=1000))
        assert whole.inner[50:52] == b"\xff\xff"
        assert self.send(whole.inner, flags=2, mss=1000) == [1000, PARTIAL]
        assert self.send(whole.inner[:50] + bytes(2) + whole.inner[52:], flags=2, mss=1000) == [1000, PARTIAL]

    def test_an_mss_that_cuts_nothing_is_none(self):
        whole = stt_frames(Card(network(WAY)).transmit(tcp_frame(4, bytes(1200)), gso_size=1000))[0]
        assert self.send(whole.inner, flags=2, mss=1200) == [0, PARTIAL]
        assert self.send(whole.inner, flags=2, mss=1199) == [1199, PARTIAL]
        assert self.send(arp() + bytes(100), flags=2, mss=10) == [0, NONE]


class TestWhatTheFirstFragmentHolds:
    """Headers are looked for in the fragment at offset 0 only; what goes on behind it is as if cut short."""

    def pieces(self, frame: bytes, first: int, **fields: int) -> list[bytes]:
        """The frame in two fragments; `first` bytes of the inner frame are in the first."""
        data = header(**fields) + frame
        return [
            stt_packet(1, len(data), 0, data[: 18 + first]),
            stt_packet(1, len(data), 18 + first, data[18 + first :]),
        ]

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("make", [tcp_frame, udp_frame])
    def test_every_place_to_cut(self, make: Any, version: int):
        frame = finish(parse(make(version, b"some payload", tags=[(C_TAG, 5)])))
        needed = parse(frame).header_length
        for first in range(1, len(frame)):
            for order in (1, -1):
                (one,) = take(ours(), self.pieces(frame, first)[::order])
                assert one.frame == frame, first
                unparsed = first < needed
                assert one.l4_checksum == (NONE if unparsed else GOOD), first
                assert one.ip_checksum == (GOOD if version == 4 and not unparsed else NONE), first

    def test_partial_and_mss_need_headers(self):
        whole = stt_frames(Card(network(WAY)).transmit(tcp_frame(4, bytes(1200)), gso_size=1000))[0].inner
        (one,) = take(ours(), self.pieces(whole, 54, flags=2, mss=1000))
        assert (one.gso_size, one.l4_checksum) == (1000, PARTIAL)
        (one,) = take(ours(), self.pieces(whole, 53, flags=2, mss=1000))
        assert (one.gso_size, one.l4_checksum, one.frame) == (0, NONE, whole)

    def test_congestion_is_marked_as_far_as_there_is_an_ip_header(self):
        """As in every unparsed frame (RFC 6040)."""
        frame = finish(parse(tcp_frame(4, b"x", ip={"tos": 2})))
        for first, tos in ((34, 3), (33, 2)):
            (one,) = take(ours(), [refresh_ip(p[:15] + b"\3" + p[16:]) for p in self.pieces(frame, first)])
            assert (one.frame[15], one.l4_checksum) == (tos, NONE)


class TestPadding:
    """Behind the IP packet: the sum of several fragments is not that of the IP packet."""

    @pytest.mark.parametrize("make", [tcp_frame, udp_frame])
    def test_complete(self, make: Any):
        frame = finish(parse(make(4, bytes(100)))) + b"padding"
        data = header() + frame
        (one,) = take(ours(), [stt_packet(1, len(data), 0, data)])
        assert (one.ip_checksum, one.l4_checksum, one.frame) == (GOOD, GOOD, frame)
        for cut in (80, len(data) - 3):
            (one,) = take(ours(), [stt_packet(1, len(data), at, data[at:end]) for at, end in ((0, cut), (cut, None))])
            assert (one.ip_checksum, one.l4_checksum, one.frame) == (GOOD, NONE, frame)

    def test_partial(self):
        frame = finish_partial(parse(tcp_frame(4, bytes(100)))) + b"padding"
        for field, status in ((frame[50:52], PARTIAL), (b"\x12\x34", BAD)):
            data = header(flags=2, mss=50) + frame[:50] + field + frame[52:]
            packets = [stt_packet(1, len(data), at, data[at:end]) for at, end in ((0, 80), (80, None))]
            (one,) = take(ours(), packets)
            assert (one.l4_checksum, one.gso_size) == (status, 0), "and is never cut"


class TestContextId:
    @pytest.mark.parametrize("first", [0, 1, 2])
    def test_unknown(self, first: int):
        """Which says the fragment at offset 0 only, wherever it comes: the whole frame goes, never the slow path."""
        other = receiver(far_end(WAY), slow_path=True)
        data = header(context=CONTEXT + 1) + FRAME[18:]
        packets = [stt_packet(1, TOTAL, at, data[at : at + 400]) for at in range(0, TOTAL, 400)]
        assert len(packets) == 3
        packets.insert(first, packets.pop(0))
        assert take(other, packets[:2]) == [] and other.held == 2
        assert take(other, packets[2:]) == [] and other.held == 0
        assert reasons(other) == {"not_terminated": 3} and other.last_reason == "not_terminated"

    def test_two_vnets_share_an_address(self):
        other = receiver(far_end(WAY, vnet=1), far_end(WAY, vnet=2, key=CONTEXT + 1))
        second = header(context=CONTEXT + 1) + FRAME[18:]
        packets = [stt_packet(2, TOTAL, 0, second[:500]), piece(0, 500), stt_packet(2, TOTAL, 500, second[500:])]
        assert [one.vnet for one in take(other, [*packets, piece(500, TOTAL)])] == [2, 1]

    def test_peers(self):
        """A stranger adds nothing to a frame of someone else, and his own goes."""
        other = receiver(far_end(WAY, remote=WAY.local))
        assert take(other, [piece(500, TOTAL, source=OTHER), piece(0, 500)]) == []
        assert take(other, [piece(0, 500, source=OTHER)]) == []
        assert reasons(other) == {"unknown_peer": 2} and other.held == 1
        assert len(take(other, [piece(500, TOTAL)])) == 1

    def test_a_tcp_connection_to_the_port(self):
        other = receiver(far_end(WAY), slow_path=True)
        for flags in (0x02, 0x12, 0x11, 0x14, 0x04, 0x00):
            one = other.receive(stt_packet(1, TOTAL, 0, FRAME[:100], flags=flags))
            assert one is not None and one.slow == "not_terminated"
        account(other)
