"""The model against scapy: every header and every checksum, worked out by someone else's code.

A super-segment is described once; the model gets its bytes, scapy builds the segments and their tunnel layer by layer.
Only the flow port is taken from the model's packet (test_flow.py has that).
"""

from random import Random
from typing import Any

import pytest

pytest.importorskip("scapy")
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import GRE, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sim.model.card import Card
from sim.model.network import Tunnel
from tests.support.networks import MAC, NETWORKS
from tests.support.wire import outer

FIN, PSH, CWR = 0x01, 0x08, 0x80
SEEDS = range(4)


def tag(layer: Packet, kind: str, tci: int) -> Packet:
    fields = {"prio": tci >> 13, "dei": tci >> 12 & 1, "vlan": tci & 0xFFF}
    return layer / (Dot1Q(**fields) if kind == "C" else Dot1AD(**fields))


class Flow:
    """One random TCP or UDP flow; `packet` builds any piece of it with scapy."""

    def __init__(self, random: Random, version: int, tags: str) -> None:
        self.version, self.random = version, random
        self.tags = [(kind, random.getrandbits(16)) for kind in tags]
        self.flags, self.tos = random.getrandbits(8), random.getrandbits(8)
        self.sequence = random.choice((0xFFFFFF00, random.getrandbits(32)))
        self.identification = random.choice((0xFFFE, random.getrandbits(16)))
        self.tcp_options = random.choice(([], [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)], [("SAckOK", b"")]))
        self.ip_options = random.choice((0, 0, 3, 10))
        self.ports = {"sport": random.getrandbits(16), "dport": random.choice((80, 5001))}
        self.urgent = random.getrandbits(16)

    def headers(self, tags: list[tuple[str, int]], number: int) -> Packet:
        packet = Ether(dst="52:54:00:00:bb:01", src="52:54:00:00:aa:01")
        for kind, tci in tags:
            packet = tag(packet, kind, tci)
        if self.version == 4:
            identification = (self.identification + number) & 0xFFFF
            options = [IPOption(b"\x01")] * self.ip_options
            return packet / IP(
                src="10.1.0.2", dst="10.2.0.3", id=identification, tos=self.tos, flags="DF", options=options
            )
        packet = packet / IPv6(src="fd01::2", dst="fd02::3", tc=self.tos, fl=0xABCDE, hlim=9)
        return packet / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() if self.ip_options else packet

    def tcp(self, payload: bytes, *, tags: Any = None, number: int = 0, at: int = 0, clear: int = 0) -> Packet:
        """A segment: the `number`th, from byte `at` of the payload, without the flags in `clear`."""
        segment = TCP(
            **self.ports,
            seq=(self.sequence + at) & 0xFFFFFFFF,
            ack=7,
            flags=self.flags & ~clear,
            window=1000,
            urgptr=self.urgent,
            options=self.tcp_options,
        )
        return self.headers(self.tags if tags is None else tags, number) / segment / Raw(payload)

    def segments(self, payload: bytes, gso_size: int, accecn: bool, tags: Any = None) -> list[Packet]:
        pieces = [payload[at : at + gso_size] for at in range(0, len(payload), gso_size)]
        last = len(pieces) - 1
        return [
            self.tcp(
                piece,
                tags=tags,
                number=number,
                at=number * gso_size,
                clear=(0 if number == last else FIN | PSH) | (CWR if number and not accecn else 0),
            )
            for number, piece in enumerate(pieces)
        ]

    def udp(self, payload: bytes, *, tags: Any = None, **more: int) -> Packet:
        return self.headers(self.tags if tags is None else tags, 0) / UDP(**self.ports, **more) / Raw(payload)


def mac(address: bytes) -> str:
    return address.hex(":")


def wrap(tunnel: Tunnel, inner: Packet, tos: int, identification: int, sequence: int, port: int) -> Packet:
    packet = Ether(dst=mac(tunnel.next_hop), src=mac(MAC))
    if tunnel.vlan is not None:
        packet = packet / Dot1Q(vlan=tunnel.vlan)
    tos = tos if tunnel.dscp is None else tunnel.dscp << 2 | tos & 3
    ends = {"src": str(tunnel.local), "dst": str(tunnel.remote)}
    if tunnel.version == 4:
        packet = packet / IP(**ends, tos=tos, id=identification, flags="DF" if tunnel.df else 0, ttl=tunnel.ttl)
    else:
        packet = packet / IPv6(**ends, tc=tos, hlim=tunnel.ttl)
    if tunnel.encapsulation in ("gre", "nvgre"):
        return packet / gre(tunnel, sequence) / inner
    packet = packet / UDP(sport=port, dport=4789 if tunnel.encapsulation == "vxlan" else 6081)
    if not (tunnel.version == 6 if tunnel.checksum is None else tunnel.checksum):
        packet[UDP].chksum = 0
    if tunnel.encapsulation == "vxlan":
        return packet / VXLAN(flags=8, vni=tunnel.key) / inner
    options = tunnel.options
    header = GENEVE(
        proto=0x6558, vni=tunnel.key, critical=bool(options), optionlen=len(options) // 4
    )  # ours has a critical one
    return packet / Raw(bytes(header)[:8] + options) / inner


def gre(tunnel: Tunnel, sequence: int) -> Packet:
    fields: dict[str, int] = {"proto": 0x6558}
    if tunnel.checksum:
        fields["chksum_present"] = 1
    if tunnel.key is not None:
        fields |= {"key_present": 1, "key": tunnel.key}
    if tunnel.sequence:
        fields |= {"seqnum_present": 1, "sequence_number": sequence}
    return GRE(**fields)


def check(name: str, sent: list[bytes], inners: list[Packet], tos: int, repeat: str) -> None:
    if name == "plain":
        assert sent == [bytes(inner) for inner in inners], repeat
        return
    (tunnel,) = NETWORKS[name].tunnels
    port = 0 if tunnel.encapsulation in ("gre", "nvgre") else outer(sent[0]).ports[0]
    expected = [bytes(wrap(tunnel, inner, tos, k, k, port)) for k, inner in enumerate(inners)]
    assert len(sent) == len(expected), repeat
    for k, (ours, theirs) in enumerate(zip(sent, expected, strict=True)):
        assert ours == theirs, f"packet {k} of {len(sent)}; {repeat}"


def keeps(name: str, tags: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return tags[1:] if name.startswith("nvgre") else tags


def tag_choices(name: str) -> tuple[str, ...]:
    """C for 802.1Q and S for 802.1ad, outermost first."""
    return ("", "C") if name.startswith("nvgre") else ("", "C", "S", "SC", "CC")


NAMES = [name for name in NETWORKS if not name.startswith("stt")]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_super_segments(name: str, version: int):
    for seed in SEEDS:
        random = Random(f"{name} {version} {seed}")
        flow = Flow(random, version, random.choice(tag_choices(name)))
        gso_size = random.choice((500, 1201, 1240, random.randint(200, 1240)))
        payload = random.randbytes(
            random.choice((gso_size + 1, 2 * gso_size, random.randint(gso_size + 1, 5 * gso_size)))
        )
        accecn = random.random() < 0.3
        frame = bytes(flow.tcp(payload))
        sent = Card(NETWORKS[name]).transmit(frame, gso_size=gso_size, accecn=accecn)
        segments = flow.segments(payload, gso_size, accecn, keeps(name, flow.tags))
        check(
            name, sent, segments, flow.tos, f"seed {seed}: pytest '{__file__}::test_super_segments[{name}-{version}]'"
        )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_datagrams_and_small_segments(name: str, version: int):
    for seed in SEEDS:
        random = Random(f"{name} {version} {seed} small")
        flow = Flow(random, version, random.choice(tag_choices(name)))
        payload = random.randbytes(random.choice((0, 1, random.randint(0, 1200))))
        build, more = random.choice(((flow.tcp, {}), (flow.udp, {}), (flow.udp, {"chksum": 0})))
        wanted = build(payload, tags=keeps(name, flow.tags), **more)
        frame = bytearray(bytes(build(payload, **more)))
        if "chksum" not in more:  # spoil the checksum: the card must not trust it
            at = len(frame) - len(payload) - (2 if build == flow.udp else len(bytes(wanted[TCP])) - len(payload) - 16)
            frame[at] ^= 0x5A
        sent = Card(NETWORKS[name]).transmit(bytes(frame), gso_size=1300)
        repeat = f"seed {seed}: pytest '{__file__}::test_datagrams_and_small_segments[{name}-{version}]'"
        check(name, sent, [wanted], flow.tos, repeat)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("stt")])
def test_stt(name: str, version: int):
    """scapy knows no STT: the inner segments and the outer TCP-like header are checked on their own."""
    (tunnel,) = NETWORKS[name].tunnels
    for seed in SEEDS:
        random = Random(f"{name} {version} {seed}")
        flow = Flow(random, version, random.choice(("", "C", "CC")))
        flow.flags |= CWR  # is segmented first, in either mode
        payload = random.randbytes(random.randint(1001, 4000))
        sent = Card(NETWORKS[name]).transmit(bytes(flow.tcp(payload)), gso_size=1000)
        segments = flow.segments(payload, 1000, False, flow.tags[1:])
        repeat = f"seed {seed}: pytest '{__file__}::test_stt[{name}-{version}]'"
        assert len(sent) == len(segments), repeat
        for number, (packet, segment) in enumerate(zip(sent, segments, strict=True)):
            body = outer(packet).body
            length = len(body) - 20
            assert body[38:] == bytes(segment), repeat
            again = Ether(dst=mac(tunnel.next_hop), src=mac(MAC))
            if tunnel.vlan is not None:
                again = again / Dot1Q(vlan=tunnel.vlan)
            ends = {"src": str(tunnel.local), "dst": str(tunnel.remote)}
            ip = (
                IP(**ends, tos=flow.tos, id=number, flags="DF")
                if tunnel.version == 4
                else IPv6(**ends, tc=flow.tos, hlim=64)
            )
            like = TCP(sport=outer(packet).ports[0], dport=7471, seq=length << 16, ack=number, flags=0x18, window=0)
            assert packet == bytes(again / ip / like / Raw(body[20:])), repeat
