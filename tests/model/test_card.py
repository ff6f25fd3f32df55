"""Forwarding, drops in their order, what fits, running numbers and counters."""

from dataclasses import replace
from typing import Any

import pytest

from sim.model.card import REASONS, Card
from sim.model.network import Network
from tests.support import networks
from tests.support.frames import C_TAG, GUEST, PEER, S_TAG, ethernet, samples, tcp_frame, udp_frame
from tests.support.networks import MAC, MIXED, MIXED_TUNNELS, NETWORKS, network, tunnel
from tests.support.wire import outer

RAW = 0x88B5  # a type for experiments: no IP


def largest_ipv6(tags: int = 2) -> bytes:
    return tcp_frame(6, bytes(65535 - 20), tags=[(C_TAG, 1)] * tags)


class TestForwarding:
    card_network = Network(
        mac=MAC,
        mtu=1500,
        vports={0: 10, 1: 10, 2: 20, 63: 30},
        forwarding={
            (10, PEER): 0,
            (10, None): "uplink",
            (20, PEER): "drop",
            (20, GUEST): 1,
            (30, None): "drop",
            (30, PEER): "uplink",
        },
        tunnels=(tunnel("gre"), tunnel("vxlan")),
    )

    def sent(self, vport: int, to: bytes) -> str:
        card = Card(self.card_network)
        packets = card.transmit(ethernet(RAW, b"data", to=to), vport=vport)
        if not packets:
            return str(card.last_drop)
        return "uplink" if packets[0].startswith(to) else {47: "gre", 17: "vxlan"}[outer(packets[0]).protocol]

    def test_exact_then_wildcard_then_nowhere(self):
        other = b"\xff" * 6
        assert [self.sent(0, to) for to in (PEER, GUEST, other)] == ["gre", "uplink", "uplink"]
        assert [self.sent(1, to) for to in (PEER, GUEST, other)] == ["gre", "uplink", "uplink"]
        assert [self.sent(2, to) for to in (PEER, GUEST, other)] == ["policy", "vxlan", "no_route"]
        assert [self.sent(63, to) for to in (PEER, other)] == ["uplink", "policy"]
        assert self.sent(3, PEER) == "unknown_vport"


class TestDrops:
    @pytest.mark.parametrize("length", [0, 1, 13])
    def test_runt(self, length: int):
        card = Card(NETWORKS["gre-v4"])
        assert card.transmit(bytes(length)) == [] and card.last_drop == "runt"
        assert card.transmit(bytes(14)) != [] and card.last_drop is None

    def test_oversize_is_more_than_ipv6_can_say_behind_two_tags(self):
        card = Card(NETWORKS["gre-v4"])
        frame = largest_ipv6()
        assert len(frame) == 65597
        assert len(card.transmit(frame, gso_size=1300)) == 51
        assert card.transmit(frame + b"\0", gso_size=1300) == [] and card.last_drop == "oversize"

    def test_in_order(self):
        """Each frame has every fault from its reason on."""
        two_tags = [(S_TAG, 1), (C_TAG, 1)]
        huge = ethernet(RAW, bytes(65598 - 22), tags=two_tags)
        large = huge[:9000]
        card = Card(
            Network(
                MAC,
                1500,
                {0: 0, 1: 1, 2: 2},
                {(1, None): "drop", (2, None): 0},
                (tunnel("nvgre"),),
            )
        )
        for frame, vport, reason in (
            (b"", 9, "runt"),
            (huge, 9, "oversize"),
            (large, 9, "unknown_vport"),
            (large, 0, "no_route"),
            (large, 1, "policy"),
            (large, 2, "inner_vlan"),
            (ethernet(RAW, bytes(8986)), 2, "mtu"),
        ):
            assert card.transmit(frame, vport=vport) == [] and card.last_drop == reason
            assert card.counters[f"drop.{reason}"] == 1
        assert card.counters["frames_in"] == 7 and card.counters["frames_sent"] == card.counters["packets_out"] == 0

    def test_a_dropped_frame_takes_no_number(self):
        card = Card(networks.mixed(("gre-v4-seq", "stt-v4-segment")))
        card.transmit(bytes(2000), vport=0)
        card.transmit(bytes(2000), vport=1)
        (packet,) = card.transmit(bytes(60), vport=0)
        assert outer(packet).identification == 0 and outer(packet).body[4:8] == bytes(4)
        (packet,) = card.transmit(bytes(60), vport=1)
        assert outer(packet).identification == 1 and packet[42:46] == bytes(4)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="gso_size 65536"):
            Card(NETWORKS["plain"]).transmit(bytes(60), gso_size=65536)


class TestFit:
    @pytest.mark.parametrize("tags", [[], [(C_TAG, 1)], [(S_TAG, 1), (C_TAG, 1)]])
    def test_tags_are_free_on_the_uplink(self, tags: list[tuple[int, int]]):
        card = Card(NETWORKS["plain"])
        assert card.transmit(tcp_frame(4, bytes(1460), tags=tags)) != []
        assert card.transmit(tcp_frame(4, bytes(1461), tags=tags)) == [] and card.last_drop == "mtu"
        assert card.transmit(tcp_frame(4, bytes(5000), tags=tags), gso_size=1460) != []
        assert card.transmit(tcp_frame(4, bytes(5000), tags=tags), gso_size=1461) == []

    def test_the_trailer_is_not(self):
        card = Card(NETWORKS["plain"])
        assert card.transmit(tcp_frame(4, bytes(1459)) + b"\0") != []
        assert card.transmit(tcp_frame(4, bytes(1460)) + b"\0") == []

    @pytest.mark.parametrize(
        ("name", "room"),
        [
            ("gre-v4", 1476),
            ("gre-v4-csum-key-seq", 1464),
            ("gre-v6", 1456),
            ("nvgre-v4", 1472),
            ("nvgre-v6", 1452),
            ("vxlan-v4", 1464),
            ("vxlan-v4-csum", 1464),
            ("vxlan-v6", 1444),
            ("geneve-v4", 1464),
            ("geneve-v4-options", 1432),
            ("geneve-v6-options", 1412),
            ("stt-v4-segment", 1442),
            ("stt-v6-segment", 1422),
            ("gre-v4-vlan", 1476),
            ("vxlan-v6-csum-vlan", 1444),
        ],
    )
    def test_room_for_the_inner_frame(self, name: str, room: int):
        card = Card(NETWORKS[name])
        assert len(card.transmit(ethernet(RAW, bytes(room - 14)))) == 1
        assert card.transmit(ethernet(RAW, bytes(room - 13))) == [] and card.last_drop == "mtu"
        moved = 4 if name.startswith(("nvgre", "stt")) else 0
        assert len(card.transmit(ethernet(RAW, bytes(room - 18 + moved), tags=[(C_TAG, 1)]))) == 1
        assert card.transmit(ethernet(RAW, bytes(room - 17 + moved), tags=[(C_TAG, 1)])) == []
        payload = room - 54
        assert len(card.transmit(tcp_frame(4, bytes(3 * payload)), gso_size=payload)) == 3
        assert card.transmit(tcp_frame(4, bytes(3 * payload)), gso_size=payload + 1) == []

    def test_the_largest_packet_counts_and_not_the_gso_size(self):
        card = Card(NETWORKS["gre-v4"])
        assert len(card.transmit(tcp_frame(4, bytes(1000)), gso_size=60000)) == 1
        assert card.transmit(tcp_frame(4, bytes(1500)), gso_size=1499) == []


class TestNumbers:
    def test_the_identification_is_the_cards(self):
        """Counts tunnelled packets, over IPv6 too; the uplink's take none."""
        card = Card(MIXED)
        card.identification = 0xFFFC
        uplink, seen, count = len(MIXED_TUNNELS), [], 0
        for vport in range(len(MIXED_TUNNELS)):
            packets = card.transmit(tcp_frame(4, bytes(2000)), vport=vport, gso_size=1000)
            seen += [
                (outer(packet).identification - 0xFFFC - count - k) % 2**16
                for k, packet in enumerate(packets)
                if outer(packet).version == 4
            ]
            count += len(packets)
            assert card.transmit(tcp_frame(4, bytes(10)), vport=uplink)
        assert set(seen) == {0} and count == 2 * len(MIXED_TUNNELS) and card.identification == 0xFFFC + count - 2**16

    def test_a_sequence_is_the_tunnels(self):
        card = Card(networks.mixed(("gre-v4-seq", "gre-v6-csum-key-seq", "gre-v4-seq")))
        card.sequence[1] = 0xFFFFFFFF

        def numbers(vport: int, at: int) -> list[int]:
            packets = card.transmit(tcp_frame(4, bytes(2000)), vport=vport, gso_size=1000)
            return [int.from_bytes(outer(packet).body[at : at + 4], "big") for packet in packets]

        assert numbers(0, 4) == [0, 1]
        assert numbers(1, 12) == [0xFFFFFFFF, 0]
        assert numbers(0, 4) == [2, 3]
        assert numbers(2, 4) == [0, 1]


class TestCounters:
    def test_names(self):
        assert set(Card(NETWORKS["plain"]).counters) == {
            "frames_in",
            "frames_sent",
            "frames_local",
            "packets_out",
            "unparsed",
            *(f"drop.{reason}" for reason in REASONS),
        }

    def test_unparsed_counts_what_was_sent(self):
        card = Card(NETWORKS["gre-v4"])
        card.transmit(tcp_frame(4, b"x")[:-1])
        card.transmit(tcp_frame(4, bytes(2000))[:-1])  # dropped: too large
        card.transmit(udp_frame(4, b"x"))
        card.transmit(ethernet(RAW, b""))
        assert (card.counters["unparsed"], card.counters["drop.mtu"], card.counters["frames_sent"]) == (1, 1, 3)

    @pytest.mark.parametrize("name", ["plain", "gre-v4-csum-key-seq", "nvgre-v6", "stt-v4-frame", "stt-v6-segment"])
    def test_every_frame_is_sent_or_dropped(self, name: str):
        card, packets = Card(NETWORKS[name]), 0
        for sample in samples(seed=1, count=400):
            out = card.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
            assert (out == []) == (card.last_drop is not None)
            packets += len(out)
        counters = card.counters
        assert counters["frames_in"] == 400 and counters["packets_out"] == packets
        assert counters["frames_in"] == counters["frames_sent"] + sum(counters[f"drop.{reason}"] for reason in REASONS)
        assert counters["drop.bad_length"] == 0 and counters["unparsed"] > 0


class TestConfiguration:
    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"encapsulation": "ipip"}, "encapsulation 'ipip' is none of"),
            ({"remote": networks.ENDS[6][1]}, "two IP versions"),
            ({"next_hop": b"12345"}, "next_hop has 5 bytes"),
            ({"encapsulation": "vxlan"}, "vxlan needs a key"),
            ({"encapsulation": "geneve", "key": 1 << 24}, "more than the 24 bits"),
            ({"key": 1 << 32}, "more than the 32 bits"),
            ({"encapsulation": "nvgre", "key": 1, "checksum": True}, "nvgre has no optional checksum"),
            ({"encapsulation": "stt", "key": 1, "sequence": True}, "stt has no sequence numbers"),
            ({"options": bytes(4)}, "options are Geneve's"),
            ({"encapsulation": "geneve", "key": 1, "options": bytes(36)}, "at most 32 bytes"),
            ({"encapsulation": "geneve", "key": 1, "options": bytes(6)}, "multiples of 4"),
            ({"vlan": 4095}, "vlan 4095"),
            ({"ttl": 0}, "ttl 0"),
            ({"dscp": 64}, "dscp 64"),
            ({"stt_mode": "stream"}, "stt_mode 'stream'"),
        ],
    )
    def test_tunnels(self, more: dict[str, Any], message: str):
        with pytest.raises(ValueError, match=message):
            replace(tunnel("gre"), **more)

    @pytest.mark.parametrize(
        ("one", "least"),
        [
            (tunnel("gre"), 576),
            (tunnel("gre", 6), 1280),
            (tunnel("stt"), 640),
            (tunnel("stt", stt_mode="segment"), 576),
            (tunnel("stt", 6), 1280),
        ],
    )
    def test_mtu_of_a_tunnel(self, one: networks.Tunnel, least: int):
        network(replace(one, mtu=least))
        network(replace(one, mtu=9216))
        for mtu in (least - 1, 9217):
            with pytest.raises(ValueError, match=f"{least} to 9216"):
                network(replace(one, mtu=mtu))

    @pytest.mark.parametrize("destination", ["up", 1, -1])
    def test_destinations(self, destination: str | int):
        with pytest.raises(ValueError, match="neither drop, uplink nor"):
            Network(MAC, 1500, {0: 0}, {(0, None): destination}, (tunnel("gre"),))
