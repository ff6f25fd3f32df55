"""The receive side as a whole: off the wire, out of the tunnel, together again, and to whom it goes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sim.model.card import Card
from sim.model.coalesce.coalescer import Limits
from sim.model.network import Network, ToVport
from sim.model.parse import parse
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.delivery import GSO_TCPV4, GSO_TCPV6, Delivery
from sim.model.receive.outer import read
from sim.model.receive.rss import receive_hash
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from sim.model.receive.verify import BAD, GOOD, NONE, PARTIAL
from sim.model.segment import finish, finish_partial, segment
from tests.model.receive.test_kernel import entry
from tests.model.receive.test_random import ENTRIES, NAMES, mutate
from tests.support import gro, pcap
from tests.support.frames import ACK, C_TAG, PSH, arp, ethernet, samples, tcp_frame, udp_frame
from tests.support.networks import NETWORKS, TUNNELS, network, tunnel
from tests.support.receivers import KNOWN, far_end, flip, ip4, stt_packet
from tests.support.vectors import load

MAC = bytes.fromhex("52540000bb01")  # to whom the frames' builders write
OTHER = bytes.fromhex("52540000bb02")
GROUP, EVERYONE = bytes.fromhex("01005e000001"), b"\xff" * 6
ROOMY = replace(NETWORKS["plain"], mtu=70000)
CAPTURES = Path(__file__).parents[2] / "captures"


def card(*entries: Any, steer: Steering | None = None, coalesce: Limits | None = None, **more: Any) -> ReceiveCard:
    """By default: everything of vnet 7 goes to vport 0."""
    steer = steer or Steering({0: Vport(7, MAC)}, {7: "flood"})
    settings = Settings(entries, **{"options": KNOWN, "slow_path": steer.slow_path is not None, **more})
    return ReceiveCard(ReceiveSettings(settings, coalesce or Limits(), steer))


def account(one: ReceiveCard) -> None:
    counters = one.counters
    drops = sum(number for name, number in counters.items() if name.startswith("drop."))
    assert counters["packets_in"] == counters["packets_delivered"] + counters["packets_slow"] + drops + one.held, (
        counters
    )


def take(one: ReceiveCard, packets: list[bytes], now: int = 0) -> list[Delivery]:
    """All deliveries of some packets, flushed; the account adds up after each."""
    done = []
    for packet in packets:
        done += one.receive(packet, now)
        account(one)
    done += one.flush()
    account(one)
    return done


def named(one: ReceiveCard) -> dict[str, int]:
    return {name.removeprefix("drop."): n for name, n in one.counters.items() if n and name.startswith("drop.")}


def to(mac: bytes, payload: bytes = b"data", **more: Any) -> bytes:
    """A good TCP frame to this address."""
    return finish(parse(mac + tcp_frame(4, payload, **more)[6:]))


def bare(steer: Steering, **more: Any) -> ReceiveCard:
    """All that is no tunnel's is of vnet 7."""
    return card(steer=steer, uplink={None: 7}, **more)


class TestSteering:
    here = Steering({0: Vport(7, MAC), 1: Vport(7, OTHER, multicast=False), 2: Vport(7), 3: Vport(8, MAC)})

    def sent(self, steer: Steering, frame: bytes) -> tuple[int, ...]:
        one = bare(steer)
        return tuple(vport for delivery in take(one, [frame]) for vport in delivery.vports)

    def test_address(self):
        assert self.sent(self.here, to(MAC)) == (0,)
        assert self.sent(self.here, to(OTHER)) == (1,)

    @pytest.mark.parametrize("mac", [GROUP, EVERYONE])
    def test_multicast_goes_to_all_that_asked(self, mac: bytes):
        assert self.sent(self.here, to(mac)) == (0, 2)
        nobody = Steering({0: Vport(7, MAC, multicast=False), 3: Vport(8)}, {7: "flood"})
        one = bare(nobody)
        assert take(one, [to(mac)]) == [] and named(one) == {"no_vport": 1}

    def test_unknown_address(self):
        unknown = to(bytes.fromhex("02aaaaaaaaaa"))
        one = bare(self.here)
        assert take(one, [unknown]) == [] and named(one) == {"no_vport": 1}
        assert self.sent(replace(self.here, unknown_unicast={8: "flood"}), unknown) == ()
        assert self.sent(replace(self.here, unknown_unicast={7: "flood"}), unknown) == (0, 1, 2)
        host = replace(self.here, unknown_unicast={7: "slow_path"}, slow_path=3)
        one = bare(host)
        (delivery,) = take(one, [unknown])
        assert (delivery.vports, delivery.vnet, delivery.slow) == ((3,), 7, None)
        assert one.counters["packets_delivered"] == 1, "it is a frame of its vnet, and the policy says where it goes"
        assert self.sent(replace(host, slow_path=None), unknown) == ()

    def test_slow_path(self):
        """What nobody ends goes to the host as it came."""
        host = replace(self.here, slow_path=3)
        for packet, reason in (
            (ip4(47, b"\x20\0\x65\x58\0\0\0\1" + arp()), "not_terminated"),
            (ip4(47, bytes(20), fragment=0x2000), "outer_fragment"),
        ):
            one = card(far_end(tunnel("gre")), steer=host, uplink={None: 7})
            (delivery,) = take(one, [packet])
            assert (delivery.frame, delivery.vports, delivery.vnet, delivery.slow) == (packet, (3,), None, reason)
            assert (one.counters["packets_slow"], one.counters["packets_delivered"]) == (1, 0)
            one = card(far_end(tunnel("gre")), steer=self.here, uplink={None: 7})
            assert take(one, [packet]) == [] and named(one) == {reason: 1}

    def test_bad_checksum(self):
        """Delivered and flagged, but to those that do not want it; dropped if nobody is left."""
        picky = Steering({0: Vport(7, MAC, drop_bad_checksum=True), 1: Vport(7, OTHER)})
        for at, ip, l4 in ((24, BAD, GOOD), (50, GOOD, BAD)):
            one = bare(picky)
            bad = {mac: flip(to(mac), at) for mac in (MAC, OTHER, EVERYONE)}
            assert take(one, [bad[MAC]]) == [] and named(one) == {"bad_checksum": 1}
            for mac in (OTHER, EVERYONE):
                (delivery,) = take(one, [bad[mac]])
                assert (delivery.vports, delivery.frame) == ((1,), bad[mac])
                assert (delivery.ip_checksum, delivery.l4_checksum) == (ip, l4)

    def test_queues(self):
        """By the hash's last seven bits, of the vport that has the address."""
        indirection = tuple(Random(3).choices(range(16), k=128))
        steer = Steering({0: Vport(7, MAC, queues=5), 1: Vport(7, OTHER, queues=16, indirection=indirection)})
        seen = Counter[int]()
        for port in range(300):
            for mac, queues in (
                (MAC, [number % 5 for number in range(128)]),
                (OTHER, indirection),
                (EVERYONE, [0] * 128),
            ):
                frame = to(mac, ports=(port, 80))
                (delivery,) = take(bare(steer), [frame])
                assert delivery.hash == receive_hash(parse(frame))
                assert delivery.queue == queues[delivery.hash % 128]
                seen[delivery.queue] += mac == MAC
        assert set(+seen) == set(range(5))

    def test_all_packets_of_a_flow_come_to_one_queue(self):
        """In a tunnel of any kind, merged or not, and with another VLAN tag or TOS."""
        steer = Steering({0: Vport(7, MAC, queues=16)})
        frame = tcp_frame(4, bytes(5000))
        queues = set()
        for name, way in TUNNELS.items():
            if way.encapsulation in ("gre", "vxlan", "stt") and way.version == 4:
                done = take(card(far_end(way), steer=steer), Card(NETWORKS[name]).transmit(frame, gso_size=1000))
                queues |= {(delivery.queue, delivery.hash) for delivery in done}
        assert len(queues) == 1

    def test_bad_settings(self):
        for vport in (
            {"queues": 0},
            {"queues": 17},
            {"mac": GROUP},
            {"indirection": (0,)},
            {"indirection": (1,) * 128},
        ):
            with pytest.raises(ValueError):
                Vport(7, **vport)
        for steer in (
            {"vports": {0: Vport(7, MAC), 1: Vport(7, MAC)}},
            {"slow_path": 1},
            {"unknown_unicast": {7: "host"}},
        ):
            with pytest.raises(ValueError):
                Steering(**steer)
        with pytest.raises(ValueError, match="slow path"):
            ReceiveSettings(Settings(slow_path=True))


class TestHandedUp:
    def test_a_coalesced_run(self):
        frame = tcp_frame(6, bytes(5000), flags=ACK | PSH)
        packets = Card(NETWORKS["gre-v4"]).transmit(frame, gso_size=1000)
        one = card(far_end(TUNNELS["gre-v4"]))
        done = [delivery for packet in packets for delivery in one.receive(packet)]
        (delivery,) = done
        assert (delivery.gso_size, delivery.gso_type, delivery.packets) == (1000, GSO_TCPV6, 5)
        assert (delivery.ip_checksum, delivery.l4_checksum, delivery.fixed_id) == (NONE, PARTIAL, False)
        assert (delivery.vnet, delivery.vports, delivery.cut, delivery.tag) == (7, (0,), False, None)
        assert one.counters["packets_delivered"] == 5 and one.counters["frames_delivered"] == 1
        assert delivery.frames_for(0) == [delivery.frame] and delivery.frames_for(1) == []
        assert finish(parse(delivery.frame)) == finish(parse(frame))

    def test_an_stt_frame(self):
        frame = tcp_frame(4, bytes(5000), tags=[(C_TAG, 0xE064)])
        packets = Card(NETWORKS["stt-v4-frame"]).transmit(frame, gso_size=1000)
        one = card(far_end(TUNNELS["stt-v4-frame"]))
        (delivery,) = take(one, packets[::-1])
        assert (delivery.gso_size, delivery.gso_type, delivery.packets) == (1000, GSO_TCPV4, 4)
        assert (delivery.ip_checksum, delivery.l4_checksum, delivery.tag) == (GOOD, PARTIAL, 0xE064)
        (up,) = delivery.frames_for(0)
        assert finish(parse(up)) == finish(parse(frame)), "the tag is in its place again"

    @pytest.mark.parametrize("tags", [[], [(C_TAG, 5)]])
    @pytest.mark.parametrize("name", ["gre-v4", "stt-v4-frame"])
    def test_what_is_longer_than_its_vport_takes_is_cut_again(self, name: str, tags: Any):
        """The IP packet counts, not the Ethernet header and its tags."""
        frame = tcp_frame(4, bytes(3000), tags=tags)
        packets = Card(NETWORKS[name]).transmit(frame, gso_size=1000)
        for receive_mtu, cut in ((3040, False), (3039, True), (1500, True), (100, True)):
            steer = Steering({0: Vport(7, MAC, receive_mtu=receive_mtu)})
            (delivery,) = take(card(far_end(TUNNELS[name]), steer=steer), packets)
            assert (delivery.cut, delivery.gso_size) == (cut, 1000)
            up = delivery.frames_for(0)
            assert (
                up == segment(parse(frame), 1000)
                if cut
                else [finish(parse(one)) for one in up] == [finish(parse(frame))]
            )

    def test_for_several_it_is_cut(self):
        """And where nobody has the address: who knows what they take."""
        packets = Card(NETWORKS["gre-v4"]).transmit(EVERYONE + tcp_frame(4, bytes(3000))[6:], gso_size=1000)
        steer = Steering({0: Vport(7, MAC), 1: Vport(7, OTHER)})
        (delivery,) = take(card(far_end(TUNNELS["gre-v4"]), steer=steer), packets)
        assert delivery.vports == (0, 1) and delivery.cut
        assert delivery.frames_for(0) == delivery.frames_for(1) and len(delivery.frames_for(1)) == 3

    def test_a_long_packet_is_no_super_segment(self):
        """It came in one piece, and goes up in one."""
        frame = finish(parse(udp_frame(4, bytes(3000))))
        steer = Steering({0: Vport(7, MAC, receive_mtu=1500)})
        (delivery,) = take(bare(steer), [frame])
        assert not delivery.cut and delivery.frames_for(0) == [frame]

    def test_a_fixed_identification_stays(self):
        packets = segment(parse(tcp_frame(4, bytes(3000))), 1000, fixed_id=True)
        (delivery,) = take(bare(Steering({0: Vport(7, MAC, receive_mtu=1500)})), packets)
        assert delivery.fixed_id and delivery.frames_for(0) == packets

    def test_idle_and_timeout(self):
        """Nanoseconds for runs, and the same clock for STT frames."""
        one = card(far_end(TUNNELS["stt-v4-frame"]), uplink={None: 7}, timeout=1.0)
        assert one.receive(to(MAC), 0) == []
        assert one.receive(Card(NETWORKS["stt-v4-frame"]).transmit(tcp_frame(4, bytes(3000)))[0], 0) == []
        assert (one.held, one.open, one.open_peak) == (2, 2, 2)
        assert one.expire(199_999) == [] and len(one.expire(200_000)) == 1
        assert one.expire(999_999_999) == [] and one.held == 1
        assert one.expire(1_000_000_000) == [] and one.held == 0 and named(one) == {"stt_timeout": 1}
        account(one)

    def test_other_options_end_a_run(self):
        """And other outer sources are other flows."""
        packets = segment(parse(tcp_frame(4, bytes(4000))), 1000)
        ways = [tunnel("geneve"), tunnel("geneve", options=bytes.fromhex("01020300"))]
        cards = [Card(network(way)) for way in ways]
        sent = [cards[number % 2].transmit(packet)[0] for number, packet in enumerate(packets)]
        assert [one.packets for one in take(card(far_end(ways[0])), sent)] == [1] * 4
        there = [replace(tunnel("gre"), local=tunnel("gre").local + number) for number in (0, 100)]
        sent = [Card(network(way)).transmit(packet)[0] for packet in packets for way in there]
        assert [one.packets for one in take(card(far_end(there[0])), sent)] == [4, 4]

    @pytest.mark.parametrize(("name", "outer"), [("gre-v4", 24), ("vxlan-v6-csum-vlan", 56), ("geneve-v4", 36)])
    def test_outer_bytes_count_for_the_longest_frame(self, name: str, outer: int):
        """65,535 from the outer IP header on: the last packet fits to the byte, or not."""
        gso_size, many = 1000, 65
        room = 65535 - outer - 54 - many * gso_size
        for more, packets in ((0, [66]), (1, [65, 1])):
            frames = [
                finish(parse(tcp_frame(4, bytes(size), sequence=gso_size * number, ip={"identification": number})))
                for number, size in enumerate([gso_size] * many + [room + more])
            ]
            sent = [packet for frame in frames for packet in Card(NETWORKS[name]).transmit(frame)]
            assert [one.packets for one in take(card(far_end(TUNNELS[name])), sent)] == packets


class TestIsolation:
    """Twelve tunnels, a vnet each, with one vport in each: every frame reaches the vport of its own vnet or none."""

    @pytest.mark.parametrize("seed", range(4))
    def test_no_frame_leaves_its_vnet(self, seed: int):
        random = Random(seed)
        host = len(NAMES)
        steer = Steering(
            {**{number: Vport(number, MAC) for number in range(host)}, host: Vport(99, MAC)},
            dict.fromkeys(range(0, host, 2), "flood"),
            host if seed & 1 else None,
        )
        one = card(*ENTRIES, steer=steer, contexts=8, uplink={1: 99} if seed & 2 else {})
        cards, now = {name: Card(NETWORKS[name]) for name in NAMES}, 0
        done, vnets = [], Counter[int]()
        for sample in samples(seed=200 + seed, count=200, largest=3000):
            name = random.choice(NAMES)
            frame = sample.frame if random.random() < 0.3 else MAC + sample.frame[6:]
            for packet in cards[name].transmit(frame, gso_size=sample.gso_size, accecn=sample.accecn):
                now += random.choice((0, 1000, 300_000))
                done += one.receive(mutate(random, packet) if random.random() < 0.3 else packet, now)
                account(one)
        done += one.flush() + one.expire(now + 60 * 10**9)
        account(one)
        assert one.held == 0
        for delivery in done:
            if delivery.vnet is None:
                assert delivery.vports == (host,) and seed & 1
                continue
            assert {steer.vports[vport].vnet for vport in delivery.vports} == {delivery.vnet}
            vnets[delivery.vnet] += 1
        assert len(vnets) >= len(NAMES) - 1

    def test_the_same_flow_in_two_vnets_is_two(self):
        names = ("gre-v4", "vxlan-v4")
        entries = [far_end(TUNNELS[name], vnet=number) for number, name in enumerate(names)]
        frame = tcp_frame(4, bytes(3000))
        sent = zip(*(Card(NETWORKS[name]).transmit(frame, gso_size=1000) for name in names), strict=True)
        one = card(*entries, steer=Steering({number: Vport(number, MAC) for number in range(2)}))
        done = take(one, [packet for pair in sent for packet in pair])
        assert [(delivery.vports, delivery.packets) for delivery in done] == [((0,), 3), ((1,), 3)]


class TestFloods:
    """An honest flow's super-segments stay whole, whatever comes beside it."""

    honest = segment(parse(tcp_frame(4, bytes(40_000), ports=(1, 80))), 1000)

    def one_packet_flows(self, count: int, name: str) -> list[bytes]:
        """TCP packets, each of another flow."""
        flows = (tcp_frame(4, b"flood", ports=(1024 + number, 80)) for number in range(count))
        return [packet for flow in flows for packet in Card(NETWORKS[name]).transmit(flow)]

    @pytest.mark.parametrize("name", ["gre-v4", "vxlan-v4"])
    @pytest.mark.parametrize("times", [1, 30])
    def test_one_packet_flows_from_its_vnet_and_from_another(self, times: int, name: str):
        """Thirty of them for each honest packet: the hand comes by twice before the mark is set again, at most."""
        entries = [far_end(TUNNELS["gre-v4"], vnet=0), far_end(TUNNELS["vxlan-v4"], vnet=1)]
        one = card(*entries, steer=Steering({0: Vport(0, MAC), 1: Vport(1, MAC)}))
        flood = self.one_packet_flows(times * len(self.honest), name)
        cards = Card(NETWORKS["gre-v4"])
        done = []
        for number, packet in enumerate(self.honest):
            done += take_on(one, cards.transmit(packet))
            done += take_on(one, flood[times * number : times * number + times])
        done += one.flush()
        assert max(delivery.packets for delivery in done if delivery.vports == (0,)) == len(self.honest)
        assert sum(delivery.packets for delivery in done) == len(self.honest) + len(flood)
        account(one)

    def test_a_share_stands_up_to_any_flood(self):
        """A hundred packets of another vnet for each honest one, with room for four flows each."""
        entries = [far_end(TUNNELS["gre-v4"], vnet=0), far_end(TUNNELS["vxlan-v4"], vnet=1)]
        for share, whole in ((4, True), (8, False)):
            one = card(
                *entries,
                steer=Steering({0: Vport(0, MAC), 1: Vport(1, MAC)}),
                coalesce=Limits(contexts=8, vnet_contexts=share),
            )
            flood = self.one_packet_flows(100, "vxlan-v4")
            cards, done = Card(NETWORKS["gre-v4"]), []
            for packet in self.honest:
                done += take_on(one, cards.transmit(packet)) + take_on(one, flood)
            done += one.flush()
            longest = max(delivery.packets for delivery in done if delivery.vports == (0,))
            assert (longest == len(self.honest)) == whole

    @pytest.mark.parametrize("apart", [True, False])
    def test_half_open_stt_frames(self, apart: bool):
        """From another class of sources any number; from the same one, as many as the hand needs for a round."""
        way = TUNNELS["stt-v4-frame"]
        one, sender = card(far_end(way)), Card(NETWORKS["stt-v4-frame"])
        frames = [tcp_frame(4, bytes(60_000), ports=(number, 80)) for number in range(8)]
        queues = [sender.transmit(frame, gso_size=1000) for frame in frames]
        source, identifier = bytes([192, 0, 2, 2 if apart else 1]), 10**6
        done: list[Delivery] = []
        while any(queues):
            for queue in queues:
                done += take_on(one, [queue.pop(0)] if queue else [])
            for _ in range(300 if apart else 20):
                identifier += 1
                done += take_on(one, [stt_packet(identifier, 60_000, 1000, b"flood", source=source)])
        assert sorted(finish(parse(delivery.frame)) for delivery in done) == sorted(finish(parse(f)) for f in frames)
        account(one)


def take_on(one: ReceiveCard, packets: list[bytes]) -> list[Delivery]:
    return [delivery for packet in packets for delivery in one.receive(packet)]


def again(sender: Card, deliveries: list[Delivery], **more: Any) -> list[bytes]:
    """What was handed up, sent on as it is."""
    sent = []
    for delivery in deliveries:
        for frame in delivery.frames_for(delivery.vports[0]):
            sent += sender.transmit(frame, gso_size=delivery.gso_size, **more)
    return sent


class TestRoundTrip:
    """Sent, received, sent again: the same packets, byte for byte."""

    @pytest.mark.parametrize("vector", list(load()), ids=str)
    def test_the_kernels_packets(self, vector: Any):
        way = vector.network.tunnels[0]
        done = take(card(far_end(way), steer=Steering({0: Vport(7, vector.frame[:6])})), pcap.read(vector.expected))
        sent = Card(vector.network).transmit(vector.frame, gso_size=vector.gso_size)
        assert again(Card(vector.network), done) == sent
        assert again(Card(ROOMY), done) == Card(ROOMY).transmit(vector.frame, gso_size=vector.gso_size)
        headers = parse(vector.frame)
        if not headers.frame[headers.l4 + 13] & 0x80:  # CWR goes alone
            fits = len(vector.frame) + 60 <= 65535  # with the outer headers
            assert [delivery.packets for delivery in done] == ([len(sent)] if fits else [len(sent) - 1, 1])

    @pytest.mark.parametrize("file", gro.FILES)
    def test_the_kernels_bursts(self, file: str):
        """Whatever the kernel's cases bring: cut again, the deliveries are the frames that came out of the tunnel."""
        merged = 0
        for case in list(gro.load(file))[::3]:
            outer = read(case.packets[0])
            assert outer is not None
            entries = [entry(link, outer.destination, vnet) for vnet, link in enumerate(case.links)]
            vnets = range(len(case.links))
            steer = Steering({vnet: Vport(vnet) for vnet in vnets}, dict.fromkeys(vnets, "flood"))
            one = card(*entries, steer=steer)
            done = take(one, list(case.packets))
            apart = ReceiveCard(one.settings)
            frames = [delivery for packet in case.packets for delivery in take(apart, [packet])]
            assert Counter(up for delivery in done for up in delivery.frames_for(delivery.vports[0])) == Counter(
                delivery.frame for delivery in frames
            ), case.name
            merged += len(frames) - len(done)
        assert merged > 20

    @pytest.mark.parametrize("capture", ["web-server-tx", "web-client-tx"])
    @pytest.mark.parametrize("name", [n for n in TUNNELS if not n.endswith(("-seq", "-csum-key"))])
    def test_real_traffic(self, name: str, capture: str):
        frames = pcap.read(CAPTURES / f"{capture}.pcap")[:60]
        way = TUNNELS[name]
        sender, second = Card(NETWORKS[name]), Card(NETWORKS[name])
        one = card(far_end(way), steer=Steering({0: Vport(7)}, {7: "slow_path"}, 0))
        merged = 0
        for frame in frames:
            gso_size = 1300 if parse(frame).tcp else 0
            sent = sender.transmit(frame, gso_size=gso_size)
            done = take(one, sent)
            merged += len(done) < len(sent)
            sent_again = [
                packet
                for delivery in done
                for packet in second.transmit(replace(delivery, cut=False).frames_for(0)[0], gso_size=delivery.gso_size)
            ]
            assert sent_again == sent
        assert merged > 5 or capture == "web-client-tx" or way.stt_mode == "segment"

    @pytest.mark.parametrize("seed", range(3))
    def test_many_flows_at_once(self, seed: int):
        """Any frames, their packets mixed as two paths would mix them: each flow's come out in its order."""
        random = Random(seed)
        way = TUNNELS["vxlan-v4"]
        sender = Card(NETWORKS["vxlan-v4"])
        frames = [tcp_frame(4, random.randbytes(random.randint(1, 20_000)), ports=(n, 80)) for n in range(30)]
        queues = [sender.transmit(frame, gso_size=1400) for frame in frames]
        sent = []
        while queues := [queue for queue in queues if queue]:
            sent.append(random.choice(queues).pop(0))
        done = take(card(far_end(way)), sent)
        assert sorted(finish(parse(delivery.frame)) for delivery in done) == sorted(finish(parse(f)) for f in frames)


class TestBetweenVports:
    """A frame for another vport of the vnet takes no way over the wire."""

    net = Network(
        NETWORKS["plain"].mac,
        1500,
        {0: 7, 1: 7, 2: 8},
        {(7, MAC): ToVport(1), (7, OTHER): ToVport(0), (7, None): "uplink"},
    )

    def test_uncut(self):
        sender, frame = Card(self.net), tcp_frame(4, bytes(30_000))
        assert sender.transmit(frame, gso_size=1000) == [] and sender.last_drop is None
        (delivery,) = sender.local
        assert (delivery.vports, delivery.vnet, delivery.gso_size, delivery.gso_type) == ((1,), 7, 1000, GSO_TCPV4)
        assert (delivery.ip_checksum, delivery.l4_checksum, delivery.packets) == (GOOD, PARTIAL, 1)
        assert segment(parse(delivery.frame), 1000) == segment(parse(frame), 1000)
        assert (sender.counters["frames_in"], sender.counters["frames_local"], sender.counters["frames_sent"]) == (
            1,
            1,
            0,
        )

    @pytest.mark.parametrize(
        ("frame", "ip", "l4"),
        [
            (tcp_frame(4, b"x"), GOOD, GOOD),
            (udp_frame(6, b"x"), NONE, GOOD),
            (udp_frame(4, b"x", checksum=0), GOOD, NONE),
            (ethernet(0x88B5, b"x"), NONE, NONE),
            (tcp_frame(4, b"x" * 40)[:-9], NONE, NONE),
        ],
    )
    def test_checksums_are_complete(self, frame: bytes, ip: str, l4: str):
        sender = Card(self.net)
        assert sender.transmit(frame, gso_size=1000) == []
        (delivery,) = sender.local
        assert (delivery.frame, delivery.gso_size) == (finish(parse(frame)), 0)
        assert (delivery.ip_checksum, delivery.l4_checksum) == (ip, l4)

    def test_more_than_the_vport_takes(self):
        """A super-segment is marked then: whoever hands it up cuts it. A single packet is what it is."""
        frame = tcp_frame(4, bytes(3000))
        for receive_mtu, cut in ((3040, False), (3039, True)):
            sender = Card(replace(self.net, receive_mtu={0: 68, 1: receive_mtu}))
            sender.transmit(frame, gso_size=1000)
            (delivery,) = sender.local
            assert (delivery.cut, delivery.gso_size, len(delivery.frame)) == (cut, 1000, len(frame))
            want = segment(parse(frame), 1000) if cut else [finish_partial(parse(frame))]
            assert delivery.frames_for(1) == want
            sender.transmit(frame, gso_size=3000)
            assert not sender.local[0].cut

    def test_the_next_frame_goes_elsewhere(self):
        sender = Card(self.net)
        sender.transmit(tcp_frame(4, b"x"))
        assert len(sender.transmit(EVERYONE + tcp_frame(4, b"x")[6:])) == 1 and sender.local == []
        sender.transmit(OTHER + tcp_frame(4, b"x")[6:], vport=1)
        assert sender.local[0].vports == (0,)
        assert sender.transmit(tcp_frame(4, b"x"), vport=2) == [] and sender.last_drop == "no_route"

    def test_never_into_another_vnet(self):
        for vport in (2, 3):
            with pytest.raises(ValueError, match=f"vport {vport} is none of vnet 7"):
                replace(self.net, forwarding={(7, MAC): ToVport(vport)})
