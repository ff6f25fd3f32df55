"""Outer headers, written out by hand from the standards."""

from dataclasses import replace
from struct import unpack_from
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.fit import overhead
from tests.support.frames import C_TAG, DESTINATION, S_TAG, arp, extension, tcp_frame, udp_frame
from tests.support.networks import ENDS, GRE_KEY, MAC, NETWORKS, NEXT_HOP, OPTIONS, TUNNELS, network, tunnel
from tests.support.wire import Outer, outer, words_sum

DATA = bytes(range(256)) * 12
FRAME = tcp_frame(4, b"hello, world!", checksum=0)


def send(name_or_tunnel: Any, frame: bytes = FRAME, gso_size: int = 0) -> list[bytes]:
    one = TUNNELS[name_or_tunnel] if isinstance(name_or_tunnel, str) else name_or_tunnel
    return Card(network(one)).transmit(frame, gso_size=gso_size)


def send_one(name_or_tunnel: Any, frame: bytes = FRAME) -> Outer:
    (packet,) = send(name_or_tunnel, frame)
    return outer(packet)


def inner(frame: bytes = FRAME) -> bytes:
    (packet,) = Card(NETWORKS["plain"]).transmit(frame)
    return packet


class TestOuter:
    def test_every_byte_of_gre_over_ipv4(self):
        (packet,) = send("gre-v4")
        assert packet[:38] == bytes.fromhex(
            "020000000002 020000000001 0800"
            "45 00 005b 0000 4000 40 2f b670 c0000201 c0000202"  # 20 + 4 + 67 bytes, DF, TTL 64, protocol 47
            "0000 6558"
        )
        assert packet[38:] == inner()

    def test_every_byte_of_vxlan_over_ipv6(self):
        (packet,) = send("vxlan-v6")
        assert packet[:54] == NEXT_HOP + MAC + bytes.fromhex("86dd 60000000 0053 11 40") + b"".join(
            end.packed for end in ENDS[6]
        )
        assert packet[56:70] == bytes.fromhex("12b5 0053 0000 08000000 12345600")
        assert packet[70:] == inner()

    @pytest.mark.parametrize("name", TUNNELS)
    def test_headers(self, name: str):
        one, found = TUNNELS[name], send_one(name)
        assert (found.to, found.of, found.vlan) == (NEXT_HOP, MAC, one.vlan)
        assert (found.version, found.df, found.ttl) == (one.version, one.version == 4 and one.df, one.ttl)
        assert (found.source, found.destination, found.label) == (one.local.packed, one.remote.packed, 0)
        assert found.body.endswith(inner())
        assert overhead(one) == found.length - len(inner())

    @pytest.mark.parametrize("vlan", [0, 1, 4094])
    def test_the_outer_tag(self, vlan: int):
        (packet,) = send(tunnel("gre", vlan=vlan))
        assert packet[12:18] == b"\x81\0" + vlan.to_bytes(2, "big") + b"\x08\0"

    @pytest.mark.parametrize("version", [4, 6])
    @pytest.mark.parametrize("ecn", range(4))
    def test_ecn_is_copied(self, version: int, ecn: int):
        for frame in (tcp_frame(v, DATA, ip={"tos": 0x28 | ecn}) for v in (4, 6)):
            for packet in send(tunnel("gre", version), frame, 1000):
                assert outer(packet).tos == 0x28 | ecn
            for packet in send(tunnel("stt", version), frame, 1000):
                assert outer(packet).tos == 0x28 | ecn

    @pytest.mark.parametrize("dscp", [0, 46, 63])
    def test_pipe_keeps_ecn(self, dscp: int):
        for tos in (0x00, 0xFF, 0x29):
            assert send_one(tunnel("vxlan", dscp=dscp), tcp_frame(6, b"", ip={"tos": tos})).tos == dscp << 2 | tos & 3
        assert send_one(tunnel("vxlan", dscp=dscp), arp()).tos == dscp << 2
        assert send_one(tunnel("vxlan"), arp()).tos == 0

    def test_the_tos_of_an_unparsed_packet_counts(self):
        frame = tcp_frame(4, b"", ip={"tos": 0x2B})
        assert send_one("gre-v4", frame[:-1]).tos == 0x2B  # total length runs past the end
        assert send_one("gre-v4", frame[:33]).tos == 0  # no IPv4 header to read from
        assert send_one("gre-v6", tcp_frame(6, b"", ip={"tos": 0x2B})[:-1]).tos == 0x2B

    def test_df_is_the_tunnels(self):
        assert not send_one(tunnel("vxlan", df=False)).df
        assert send_one(tunnel("vxlan", df=True), tcp_frame(4, b"", ip={"flags_and_offset": 0})).df


class TestGre:
    @pytest.mark.parametrize("version", [4, 6])
    def test_flags_and_order(self, version: int):
        assert send_one(f"gre-v{version}").body[:4] == bytes.fromhex("0000 6558")
        assert send_one(f"gre-v{version}-key").body[:8] == bytes.fromhex("2000 6558") + GRE_KEY.to_bytes(4, "big")
        assert send_one(f"gre-v{version}-seq").body[:8] == bytes.fromhex("1000 6558 00000000")
        whole = send_one(f"gre-v{version}-csum-key-seq").body
        assert whole[:4] == bytes.fromhex("b000 6558") and whole[6:8] == b"\0\0"
        assert whole[8:16] == GRE_KEY.to_bytes(4, "big") + bytes(4)
        assert whole[16:] == inner()

    @pytest.mark.parametrize("name", [name for name in TUNNELS if name.startswith("gre") and "csum" in name])
    @pytest.mark.parametrize("frame", [FRAME, FRAME + b"\x01", arp()])
    def test_checksum(self, name: str, frame: bytes):
        assert words_sum(send_one(name, frame).body) == 0xFFFF

    def test_a_key_of_zero_is_a_key(self):
        assert send_one(tunnel("gre", key=0)).body[:8] == bytes.fromhex("2000 6558 00000000")

    def test_nvgre_is_gre_with_a_key(self):
        assert send_one("nvgre-v4").body[:8] == bytes.fromhex("2000 6558 001234 01")

    def test_nvgre_takes_one_tag_off(self):
        tagged = tcp_frame(4, DATA, tags=[(C_TAG, 0x6064)])
        packets = send("nvgre-v4", tagged, 1400)
        bare = Card(NETWORKS["plain"]).transmit(tcp_frame(4, DATA), gso_size=1400)
        assert [outer(packet).body[8:] for packet in packets] == bare

    @pytest.mark.parametrize(
        "tags", [[(C_TAG, 1), (C_TAG, 2)], [(S_TAG, 1)], [(S_TAG, 1), (C_TAG, 2)], [(C_TAG, 1), (S_TAG, 2)]]
    )
    def test_nvgre_has_no_room_for_more(self, tags: list[tuple[int, int]]):
        card = Card(NETWORKS["nvgre-v4"])
        assert card.transmit(tcp_frame(4, b"x", tags=tags)) == []
        assert card.last_drop == "inner_vlan"

    @pytest.mark.parametrize("name", ["gre-v4", "vxlan-v4", "geneve-v4"])
    def test_the_others_keep_tags(self, name: str):
        frame = tcp_frame(4, b"x", tags=[(S_TAG, 1), (C_TAG, 2)])
        assert send_one(name, frame).body.endswith(inner(frame))


class TestUdp:
    def test_vxlan(self):
        assert send_one(tunnel("vxlan", key=0xABCDEF)).body[8:16] == bytes.fromhex("08000000 abcdef00")

    def test_geneve(self):
        assert send_one(tunnel("geneve", key=0xABCDEF)).body[8:16] == bytes.fromhex("00 00 6558 abcdef 00")

    def test_geneve_with_options(self):
        assert send_one("geneve-v4-options").body[8:48] == bytes.fromhex("08 40 6558 123456 00") + OPTIONS

    @pytest.mark.parametrize(
        ("options", "critical"),
        [
            ("0102 03 00", 0),
            ("0102 83 00", 0x40),
            ("8080 03 01 ffffffff", 0),  # class and data say nothing about it
            ("0102 03 01 00008000 0102 80 00", 0x40),
            ("0102 03 e1 00008000 0102 7f 00", 0),
            ("0102 03 e1 00000000 0102 80 00", 0x40),  # the three bits above the length are reserved
        ],
    )
    def test_geneve_says_if_an_option_is_critical(self, options: str, critical: int):
        assert send_one(tunnel("geneve", options=bytes.fromhex(options))).body[9] == critical

    @pytest.mark.parametrize("encapsulation", ["vxlan", "geneve"])
    @pytest.mark.parametrize(
        ("version", "checksum", "there"),
        [(4, None, False), (4, True, True), (6, None, True), (6, False, False), (6, True, True)],
    )
    def test_the_checksum_is_there_or_zero(self, encapsulation: str, version: int, checksum: bool | None, there: bool):
        for packet in send(tunnel(encapsulation, version, checksum=checksum), tcp_frame(6, DATA), 1300):
            assert (outer(packet).body[6:8] != b"\0\0") == there  # outer() has verified it

    def test_a_computed_zero_goes_as_ffff(self):
        # An inner frame of no IP: two bytes of it can make the outer sum whatever we like.
        wanted = unpack_from("!H", send("vxlan-v4-csum", arp() + b"\0\0")[0], 40)[0]
        (packet,) = send("vxlan-v4-csum", arp() + wanted.to_bytes(2, "big"))
        assert packet[40:42] == b"\xff\xff" and outer(packet)

    @pytest.mark.parametrize("name", ["vxlan-v4", "geneve-v6", "stt-v4-frame", "stt-v6-segment"])
    def test_one_source_port_a_flow(self, name: str):
        ports = {outer(packet).ports for packet in send(name, tcp_frame(4, DATA), 500)}
        ((source, destination),) = ports
        assert source >= 0xC000 and destination in (4789, 6081, 7471)
        assert {outer(packet).ports for packet in send(name, tcp_frame(4, DATA, ports=(1, 2)), 500)} != ports


def test_deep_inner_headers_are_wrapped_too():
    frame = udp_frame(6, b"x", ip={"extensions": [(DESTINATION, extension(448))]})
    assert send_one("geneve-v4-options", frame).body.endswith(inner(frame))


def test_trailers_count_outside():
    frame = tcp_frame(4, b"odd") + b"\xde\xad\xbe"
    for name in ("gre-v4-csum", "vxlan-v4-csum", "geneve-v6-csum", "stt-v4-frame"):
        found = send_one(name, frame)
        assert found.body.endswith(b"\xde\xad\xbe")
        assert found.protocol != 47 or words_sum(found.body) == 0xFFFF


def test_a_tunnel_may_be_smaller_than_the_uplink():
    small = replace(tunnel("gre"), mtu=600)
    card = Card(network(small))
    assert card.transmit(tcp_frame(4, bytes(600 - 24 - 54))) != []
    assert card.transmit(tcp_frame(4, bytes(600 - 24 - 53))) == []
    assert card.last_drop == "mtu"
