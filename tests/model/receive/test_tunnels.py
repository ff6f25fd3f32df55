"""Which packets are ours, what their headers may say, and where the others go."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from struct import pack
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Settings, Terminate
from sim.model.receive.verify import BAD, GOOD, NONE
from tests.support.frames import C_TAG, S_TAG, arp, tcp_frame, udp, udp_frame
from tests.support.networks import GRE_KEY, NVGRE_KEY, OPTIONS, TUNNELS, VNI, network, tunnel
from tests.support.receivers import account, complement, far_end, flip, ip4, receiver, refresh_ip, take
from tests.support.wire import words_sum

HERE, THERE, STRANGER = IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1"), IPv4Address("192.0.2.77")
INNER = arp()
SLOW = "slow path"


def of(encapsulation: str, **more: Any) -> Terminate:
    keys = {"nvgre": NVGRE_KEY, "vxlan": VNI, "geneve": VNI}
    return Terminate(encapsulation, HERE, 7, **{"key": keys.get(encapsulation), **more})


def outcome(entry: Terminate, packet: bytes) -> str | None:
    """The reason, or None if the inner frame came out."""
    other = receiver(entry)
    found = take(other, [packet])
    assert all(one.frame == INNER and one.vnet == 7 for one in found)
    assert bool(found) == (other.last_reason is None)
    return other.last_reason


def gre(flags: int, *optional: int, protocol: int = 0x6558, inner: bytes = INNER, **more: Any) -> bytes:
    return ip4(47, pack("!HH", flags, protocol) + b"".join(pack("!I", word) for word in optional) + inner, **more)


def over_udp(port: int, payload: bytes, length: int | None = None, **more: Any) -> bytes:
    return ip4(17, pack("!HHHH", 50000, port, 8 + len(payload) if length is None else length, 0) + payload, **more)


def vxlan(flags: int = 8, reserved: int = 0, vni: int = VNI, last: int = 0, **more: Any) -> bytes:
    return over_udp(4789, pack("!II", flags << 24 | reserved, vni << 8 | last) + INNER, **more)


def geneve(first: int = 0, flags: int = 0, protocol: int = 0x6558, vni: int = VNI, options: bytes = b"") -> bytes:
    return over_udp(6081, pack("!BBHI", first | len(options) // 4, flags, protocol, vni << 8) + options + INNER)


def option(kind: int, number: int, words: int = 0) -> bytes:
    return pack("!HBB", kind, number, words) + bytes(4 * words)


class TestGre:
    @pytest.mark.parametrize("bit", range(16))
    def test_every_bit_of_the_flags(self, bit: int):
        """Bit 0 is the highest, as in the RFC."""
        flags = 1 << (15 - bit)
        if bit == 0:  # C
            body = pack("!HH", flags, 0x6558) + bytes(4) + INNER
            packet = ip4(47, body[:4] + complement(words_sum(body)) + body[6:])
            assert outcome(of("gre"), packet) is None
        elif bit == 2:  # K
            assert outcome(of("gre", key=5), gre(flags, 5)) is None
        elif bit == 3:  # S
            assert outcome(of("gre"), gre(flags, 5)) is None
        else:
            expected = "gre_flags" if bit in (1, 4, 5) else None if bit <= 12 else "gre_version"
            assert outcome(of("gre"), gre(flags)) == expected

    def test_keys(self):
        assert outcome(of("gre"), gre(0x2000, 5)) == "not_terminated"
        assert outcome(of("gre", key=5), gre(0)) == "not_terminated"
        assert outcome(of("gre", key=5), gre(0x2000, 6)) == "not_terminated"
        assert outcome(of("gre", key=0), gre(0)) == "not_terminated", "key 0 is a key"
        assert outcome(of("gre", key=0), gre(0x2000, 0)) is None

    @pytest.mark.parametrize("protocol", [0x0800, 0x86DD, 0x88BE, 0])
    def test_other_payloads(self, protocol: int):
        assert outcome(of("gre"), gre(0, protocol=protocol)) == "not_terminated"

    @pytest.mark.parametrize("flags", [0, 0x2000, 0x1000, 0x3000])
    def test_cut_short(self, flags: int):
        packet = gre(flags, 1, 2)
        size = 4 + 4 * bin(flags).count("1")
        for length in range(size):
            assert outcome(of("gre"), ip4(47, packet[34 : 34 + length])) == "outer_length"
        for length in range(14):
            assert receiver_reason(of("gre", key=1 if flags & 0x2000 else None), flags, length) == "runt"

    def test_sequence_numbers_say_nothing(self):
        numbers = [0xFFFFFFFE, 0xFFFFFFFF, 0, 1, 0, 5, 4, 5, 6, 0x80000006, 7]
        assert len(take(receiver(of("gre")), [gre(0x1000, number) for number in numbers])) == len(numbers)


def receiver_reason(entry: Terminate, flags: int, length: int) -> str | None:
    words = (1, 2)[: bin(flags).count("1")]
    return outcome(entry, gre(flags, *words, inner=INNER[:length]))


class TestNvgre:
    def test_flow_id_is_no_part_of_the_key(self):
        for flow in (0, 1, 0xFF):
            assert outcome(of("nvgre"), gre(0x2000, NVGRE_KEY & ~0xFF | flow)) is None
        assert outcome(of("nvgre"), gre(0x2000, NVGRE_KEY + 0x100)) == "not_terminated"
        assert outcome(of("nvgre"), gre(0)) == "not_terminated"

    def test_beside_gre(self):
        """GRE without a key may end at the same address; with one it would look the same."""
        other = receiver(of("nvgre"), replace(of("gre"), vnet=8))
        assert [one.vnet for one in take(other, [gre(0), gre(0x2000, NVGRE_KEY + 1)])] == [8, 7]
        with pytest.raises(ValueError, match=r"at 192\.0\.2\.2 end NVGRE and GRE with a key"):
            receiver(of("gre", key=1), of("nvgre"))
        receiver(replace(of("gre", key=1), local=THERE), of("nvgre"))

    def test_no_sequence_and_no_checksum(self):
        assert outcome(of("nvgre"), gre(0x3000, NVGRE_KEY, 0)) == "gre_flags"
        body = pack("!HHII", 0xA000, 0x6558, 0, NVGRE_KEY) + INNER
        body = body[:4] + complement(words_sum(body)) + body[6:]
        assert outcome(of("nvgre"), ip4(47, body)) == "gre_flags"
        assert outcome(of("gre", key=NVGRE_KEY), ip4(47, body)) is None

    @pytest.mark.parametrize("kind", [C_TAG, S_TAG])
    def test_no_inner_tag(self, kind: int):
        tagged = tcp_frame(4, b"", tags=[(kind, 1)])
        assert outcome(of("nvgre"), gre(0x2000, NVGRE_KEY, inner=tagged)) == "inner_vlan"
        (one,) = take(receiver(of("gre", key=NVGRE_KEY)), [gre(0x2000, NVGRE_KEY, inner=tagged)])
        assert one.frame == tagged


class TestVxlan:
    @pytest.mark.parametrize("flags", range(256))
    def test_only_the_i_bit_counts(self, flags: int):
        assert outcome(of("vxlan"), vxlan(flags)) == (None if flags & 8 else "vxlan_flags")

    def test_reserved_bits_are_ignored(self):
        assert outcome(of("vxlan"), vxlan(reserved=0xFFFFFF, last=0xFF)) is None

    def test_vni(self):
        assert outcome(of("vxlan"), vxlan(vni=VNI ^ 1)) == "not_terminated"

    def test_source_port_says_nothing(self):
        packet = vxlan()
        assert outcome(of("vxlan"), packet[:34] + b"\0\0" + packet[36:]) is None

    def test_udp_length(self):
        length = 8 + 8 + len(INNER)
        for lie in (0, 7, length + 1, 0xFFFF):
            assert outcome(of("vxlan"), vxlan(length=lie)) == "outer_length", lie
        assert outcome(of("vxlan"), over_udp(4789, bytes(7))) == "outer_length"
        assert outcome(of("vxlan"), over_udp(4789, pack("!II", 8 << 24, VNI << 8) + INNER[:13])) == "runt"
        assert outcome(of("vxlan"), ip4(17, vxlan()[34:40])) == "outer_length", "not even a UDP header"
        # RFC 768: bytes between UDP's end and IP's are no part of the datagram
        assert outcome(of("vxlan"), over_udp(4789, vxlan()[42:] + b"more", length=length)) is None


class TestGeneve:
    def test_version(self):
        for version in (1, 2, 3):
            assert outcome(of("geneve"), geneve(version << 6)) == "geneve_version"

    def test_options_are_skipped(self):
        for words in range(32):
            assert outcome(of("geneve"), geneve(options=option(0x0102, 0x7F, words))) is None
        every = b"".join(option(k, 1) for k in range(63))
        assert len(every) == 252 and outcome(of("geneve"), geneve(options=every)) is None

    @pytest.mark.parametrize("flags", [0, 0x40])
    def test_critical(self, flags: int):
        """The option's own bit says it (RFC 8926, 3.5.1), whether or not the C bit was set with it."""
        strange = option(0x0102, 0x01) + option(0x0102, 0x81, 2)
        assert outcome(of("geneve"), geneve(flags=flags, options=strange)) == "geneve_critical"
        other = receiver(of("geneve"), options=frozenset({(0x0102, 0x81)}))
        assert len(take(other, [geneve(flags=flags, options=strange)])) == 1
        assert take(other, [geneve(flags=flags, options=strange + option(0x0103, 0x81))]) == []
        assert other.last_reason == "geneve_critical"

    def test_critical_bit_alone(self):
        assert outcome(of("geneve"), geneve(flags=0x40, options=option(1, 1))) is None

    def test_options_that_do_not_add_up(self):
        assert outcome(of("geneve"), geneve(options=option(1, 1, 2)[:-4])) == "geneve_options"
        assert outcome(of("geneve"), geneve(options=option(1, 1) + pack("!HBB", 1, 1, 31))) == "geneve_options"
        short = over_udp(6081, pack("!BBHI", 63, 0, 0x6558, VNI << 8) + bytes(60))
        assert outcome(of("geneve"), short) == "outer_length"

    def test_options_go_up_with_the_frame(self):
        options = option(1, 1, 2) + option(2, 2)
        (one,) = take(receiver(of("geneve")), [geneve(options=options)])
        assert one.options == options

    def test_length_has_three_more_bits(self):
        """Reserved bits beside an option's length."""
        assert outcome(of("geneve"), geneve(options=pack("!HBB", 1, 1, 0xE0))) is None

    def test_control(self):
        assert outcome(of("geneve"), geneve(flags=0x80)) == "geneve_control"
        assert outcome(of("geneve"), geneve(flags=0x3F)) is None, "reserved"
        assert outcome(of("geneve"), geneve(protocol=0x0800)) == "not_terminated"

    def test_tests_options(self):
        other = receiver(of("geneve"), options=frozenset())
        assert take(other, [geneve(flags=0x40, options=OPTIONS)]) == [] and other.last_reason == "geneve_critical"


class TestChecksums:
    @pytest.mark.parametrize("name", TUNNELS)
    def test_every_bit_flipped(self, name: str):
        """No changed packet comes out with another frame, but where no checksum covers the change."""
        way = replace(TUNNELS[name], vlan=None)
        frame = udp_frame(4, b"payload!")
        (packet,) = Card(network(way)).transmit(frame)
        (good,) = take(receiver(far_end(way)), [packet])
        covered = (
            "gre_checksum" if way.encapsulation == "gre" and way.has_checksum else
            "udp_checksum" if way.has_checksum else
            "stt_checksum" if way.encapsulation == "stt" else None
        )  # fmt: skip
        l4 = 14 + (20 if way.version == 4 else 40)
        seen = set()
        for bit in range(8 * 14, 8 * len(packet)):
            other = receiver(far_end(way))
            found = take(other, [flip(packet, bit // 8, bit % 8)])
            seen.add(other.last_reason)
            if bit // 8 >= l4 + (4 if covered else 1 << 16) and covered:
                allowed = {covered, "outer_length", "gre_version", "gre_flags"} | (
                    {None} if way.encapsulation in ("vxlan", "geneve") and bit // 8 in (l4 + 6, l4 + 7) else set()
                )
                assert other.last_reason in allowed, bit
                if other.last_reason is None:
                    assert [one.frame for one in found] == [good.frame], "a checksum of one bit flipped to none"
            elif way.version == 4 and bit // 8 in range(16, 26):
                assert other.last_reason in ("ip_checksum", "outer_length", "not_terminated"), bit
            elif not covered and found and found[0].frame != good.frame:
                where = bit // 8 - (len(packet) - len(frame))
                # the addresses of the inner Ethernet header are covered by nothing here
                changed_macs_or_type = where < 14
                assert (
                    changed_macs_or_type
                    or BAD in (found[0].ip_checksum, found[0].l4_checksum)
                    or (found[0].l4_checksum == NONE)
                ), bit
        assert {covered, "ip_checksum" if way.version == 4 else None} <= seen | {None}

    def test_ip_header_with_options(self):
        packet = gre(0, options=bytes([148, 4, 0, 0]) + bytes(36))
        assert outcome(of("gre"), packet) is None
        for at in range(34, 74):
            assert outcome(of("gre"), flip(packet, at)) == "ip_checksum"

    @pytest.mark.parametrize("encapsulation", ["vxlan", "geneve"])
    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("rule", [None, "optional", "required"])
    @pytest.mark.parametrize("checksum", [True, False])
    def test_zero_udp_checksum(self, encapsulation: str, version: int, rule: str | None, checksum: bool):
        way = tunnel(encapsulation, version, checksum=checksum)
        other = receiver(far_end(way, udp_checksum=rule))
        found = take(other, Card(network(way)).transmit(INNER))
        required = rule == "required" or (rule is None and version == 6)
        assert other.last_reason == ("udp_checksum_missing" if required and not checksum else None)
        assert [one.frame for one in found] == ([] if required and not checksum else [INNER])

    def test_udp_checksum_of_all_ones(self):
        """A sum of zero goes as 0xFFFF, and is a checksum."""
        way = tunnel("vxlan", checksum=True)
        base = INNER + b"\0\0"
        sent = Card(network(way)).transmit(base)[0]
        (check,) = (int.from_bytes(sent[40:42], "big"),)
        frame = INNER + check.to_bytes(2, "big")  # now the rest sums to 0xFFFF
        (packet,) = Card(network(way)).transmit(frame)
        assert packet[40:42] == b"\xff\xff"
        (one,) = take(receiver(far_end(way, udp_checksum="required")), [packet])
        assert one.frame == frame

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("make", [tcp_frame, udp_frame])
    def test_inner(self, version: int, make: Any):
        """Every bit of a packet inside: flagged, and delivered as it came."""
        way = tunnel("gre")
        (packet,) = Card(network(way)).transmit(make(version, b"some payload"))
        start, ip = 38, 20 if version == 4 else 40
        for at in range(start + 14, len(packet)):
            changed = flip(packet, at)
            (one,) = take(receiver(far_end(way)), [changed])
            assert one.frame == changed[start:]
            where = at - start - 14
            if version == 4 and where in range(20) and where not in (0, 2, 3):
                assert one.ip_checksum == BAD
            elif where >= ip and where not in (ip + 4, ip + 5, ip + 12):  # lengths: no longer parsed
                assert one.l4_checksum == BAD, where

    def test_inner_udp_without(self):
        way = tunnel("gre")
        frame = udp_frame(4, b"data", checksum=0)
        (one,) = take(receiver(far_end(way)), Card(network(way)).transmit(frame))
        assert (one.ip_checksum, one.l4_checksum) == (GOOD, NONE)


class TestWhoseItIs:
    def test_addresses(self):
        assert outcome(of("gre"), gre(0, destination=bytes([192, 0, 2, 3]))) == "not_terminated"
        assert outcome(of("vxlan"), gre(0)) == "not_terminated"
        assert outcome(of("geneve"), vxlan()) == "not_terminated"

    def test_peers(self):
        only = of("gre", remote=THERE)
        assert outcome(only, gre(0)) is None
        assert outcome(only, gre(0, source=STRANGER.packed)) == "unknown_peer"
        other = receiver(only, replace(of("gre", key=1, remote=STRANGER), vnet=9))
        found = take(other, [gre(0), gre(0x2000, 1), gre(0, source=STRANGER.packed)])
        assert [one.vnet for one in found] == [7] and other.counters["drop.unknown_peer"] == 2
        assert [one.vnet for one in take(other, [gre(0x2000, 1, source=STRANGER.packed)])] == [9]

    def test_the_tunnel_that_sent_it(self):
        back = [tunnel("gre", key=GRE_KEY), tunnel("vxlan"), tunnel("gre")]
        back = [replace(one, local=one.remote, remote=one.local) for one in back]
        other = receiver(of("gre"), of("vxlan"), tunnels=tuple(back))
        found = take(other, [gre(0), vxlan(), gre(0, source=STRANGER.packed)])
        assert [one.tunnel for one in found] == [2, 1, None]

    @pytest.mark.parametrize("fragment", [0x2000, 0x0001, 0x3FFF, 0x1000])
    @pytest.mark.parametrize("packet", [gre(0), vxlan(), ip4(6, bytes(3))])
    def test_fragments(self, fragment: int, packet: bytes):
        piece = refresh_ip(packet[:20] + pack("!H", fragment) + packet[22:])
        other = receiver(of("gre"), slow_path=True)
        one = other.receive(piece)
        assert one is not None and (one.slow, one.frame, one.vnet) == ("outer_fragment", piece, None)
        assert outcome(of("gre"), piece) == "outer_fragment"
        account(other)

    def test_do_not_fragment_is_no_fragment(self):
        assert outcome(of("gre"), gre(0, fragment=0x4000)) is None
        assert outcome(of("gre"), gre(0, fragment=0x8000)) is None, "RFC 3514"

    @pytest.mark.parametrize(
        "tags", [b"", b"\x81\0\0\x05", b"\x88\xa8\0\x05", b"\x88\xa8\0\x05\x81\0\xff\xff", b"\x81\0\0\x05\x81\0\0\x06"]
    )
    def test_outer_tags(self, tags: bytes):
        for packet, entry in ((gre(0, tags=tags), of("gre")), (vxlan(tags=tags), of("vxlan"))):
            assert outcome(entry, packet) is None

    def test_three_tags_are_too_many(self):
        assert outcome(of("gre"), gre(0, tags=b"\x81\0\0\x05" * 3)) == "not_terminated"

    def test_padding(self):
        """A minimal Ethernet frame: what is behind IP's end belongs to nobody."""
        packet = gre(0, inner=INNER[:14])
        (one,) = take(receiver(of("gre")), [packet + bytes(60 - len(packet))])
        assert one.frame == INNER[:14]

    def test_lengths_that_lie(self):
        for length in (0, 19, 20 + 4 + len(INNER) + 1, 0xFFFF):
            packet = gre(0)
            packet = packet[:16] + pack("!H", length) + packet[18:]
            assert outcome(of("gre"), packet) == "outer_length", "whatever the checksum says"
            assert outcome(of("gre"), refresh_ip(packet)) == "outer_length"
        assert outcome(of("gre"), gre(0)[:-1]) == "outer_length"

    def test_longest(self):
        """A packet of 9,216 bytes behind two tags; and one byte more, whatever else is wrong with it."""
        inner = bytes(9238 - 14 - 20 - 4)
        assert [one.frame for one in take(receiver(of("gre")), [gre(0, inner=inner)])] == [inner]
        assert outcome(of("gre"), gre(0, inner=inner + b"x")) == "oversize"
        assert outcome(of("gre"), b"x" * 9239) == "oversize"

    @pytest.mark.parametrize("length", range(0, 80))
    def test_cut_anywhere(self, length: int):
        """A reason for each, and no frame."""
        assert outcome(of("gre"), gre(0)[:length]) in ("runt", "not_terminated", "outer_length")

    def test_bad_entries(self):
        for bad in (
            {"encapsulation": "gue"},
            {"key": 1 << 32},
            {"encapsulation": "vxlan"},
            {"udp_checksum": "required"},
            {"dscp": "copy"},
            {"remote": IPv6Address("::1")},
        ):
            with pytest.raises(ValueError):
                Terminate(**{"encapsulation": "gre", "local": HERE, "vnet": 1, **bad})
        with pytest.raises(ValueError):
            Settings((of("gre"), of("gre")))
        with pytest.raises(ValueError, match="two"):
            Settings((of("nvgre"), of("nvgre", key=NVGRE_KEY + 1)))
        with pytest.raises(ValueError, match="two"):
            Settings((of("gre", remote=THERE), of("gre", remote=STRANGER)))
        many = [replace(of("gre"), local=HERE + number) for number in range(17)]
        Settings(many[:16])
        with pytest.raises(ValueError, match="more than 16 local addresses"):
            Settings(many)
        with pytest.raises(ValueError, match="65 termination entries"):
            Settings([of("gre", key=number) for number in range(65)])
        for wrong in (
            {"contexts": 0},
            {"class_contexts": 0},
            {"class_contexts": 65},
            {"options": frozenset((1, number) for number in range(5))},
            {"timeout": 31},
            {"timeout": 0},
            {"holes": 1},
            {"uplink": {0: 1}},
            {"uplink": {4095: 1}},
        ):
            with pytest.raises(ValueError):
                Settings(**wrong)


class TestUplink:
    def into(self, packet: bytes, **more: Any) -> tuple[Receiver, Any]:
        other = receiver(of("gre"), **more)
        return other, other.receive(packet)

    def test_vnet_by_vlan(self):
        uplink = {None: 1, 100: 2}
        tagged = [tcp_frame(4, b"x", tags=[(C_TAG, tci)]) for tci in (100, 0xF064, 0xE000, 101)]
        tagged.append(tcp_frame(4, b"x", tags=[(S_TAG, 100), (C_TAG, 5)]))
        for packet, vnet in zip([tcp_frame(4, b"x"), *tagged], (1, 2, 2, 1, 1, 2), strict=True):
            _, one = self.into(packet, uplink=uplink)
            assert (one.vnet, one.frame) == (vnet, packet)

    def test_a_vlan_that_is_nobodys(self):
        for packet in (tcp_frame(4, b"x"), tcp_frame(4, b"x", tags=[(C_TAG, 101)])):
            other, one = self.into(packet, uplink={100: 2})
            assert one is None and other.counters["drop.not_terminated"] == 1
            other, one = self.into(packet, uplink={100: 2}, slow_path=True)
            assert (one.vnet, one.slow, one.frame) == (None, "not_terminated", packet)
            assert other.counters["slow.not_terminated"] == 1 and other.counters["packets_delivered"] == 0
            account(other)

    def test_a_tunnel_packet_for_someone_else_is_a_frame(self):
        """A guest may end its own tunnels."""
        packet = gre(0, destination=bytes([192, 0, 2, 3]))
        _, one = self.into(packet, uplink={None: 1}, slow_path=True)
        assert (one.vnet, one.frame, one.ip_checksum) == (1, packet, GOOD)

    def test_ours_but_unknown_never_enters_the_uplinks_vnet(self):
        for packet in (gre(0x2000, 9), vxlan(), gre(0, fragment=0x2000), gre(0, protocol=0x0800)):
            _, one = self.into(packet, uplink={None: 1}, slow_path=True)
            assert one.vnet is None and one.slow

    def test_what_is_no_tunnel_does(self):
        """The host's own DNS and ping."""
        for packet in (arp(), ip4(17, udp(b"x")), ip4(1, bytes(8)), ip4(6, bytes(20)), ip4(17, b"\0\0\0")):
            _, one = self.into(packet, uplink={None: 1}, slow_path=True)
            assert (one.vnet, one.frame) == (1, packet)


class TestIPv6:
    HERE = IPv6Address("fdee::2")

    def packet(self, *extensions: tuple[int, bytes], protocol: int = 47, body: bytes = pack("!HH", 0, 0x6558)) -> bytes:
        kinds = [kind for kind, _ in extensions] + [protocol]
        chain = b"".join(bytes([after]) + rest for after, (_, rest) in zip(kinds[1:], extensions, strict=True))
        body = chain + body + INNER
        start = pack("!IHBB", 6 << 28, len(body), kinds[0], 64)
        addresses = IPv6Address("fdee::1").packed + self.HERE.packed
        return bytes(12) + b"\x86\xdd" + start + addresses + body

    def outcome(self, packet: bytes) -> str | None:
        return outcome(Terminate("gre", self.HERE, 7), packet)

    def test_extension_headers(self):
        """Behind any there is no tunnel, not even behind Linux's encapsulation limit (RFC 2473)."""
        limit, hop, routing = (60, b"\0\x04\x01\x04\x01\0\0"), (0, b"\0\x01\x04\0\0\0\0"), (43, bytes(23))
        fragment = (44, pack("!xHI", 0, 7))
        assert self.outcome(self.packet()) is None
        for chain in ((limit,), (hop,), (routing,), (hop, limit), (limit, fragment)):
            packet = self.packet(*chain)
            assert self.outcome(packet) == "not_terminated"
            (one,) = take(receiver(Terminate("gre", self.HERE, 7), uplink={None: 1}), [packet])
            assert (one.vnet, one.frame) == (1, packet)

    def test_fragments(self):
        for offset in (0, 1, 8):
            assert self.outcome(self.packet((44, pack("!xHI", offset, 7)))) == "outer_fragment"
        no_tunnel = self.packet((44, pack("!xHI", 1, 7)), protocol=58)
        cut = self.packet((44, pack("!xHI", 1, 7)))[:61]
        for packet in (no_tunnel, cut, cut[:54]):
            assert self.outcome(packet) == "not_terminated"

    def test_length_that_lies(self):
        packet = self.packet()
        assert self.outcome(packet[:-1]) == "outer_length"
        assert self.outcome(packet + b"padding") is None
