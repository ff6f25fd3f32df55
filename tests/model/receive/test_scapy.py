"""The receive model against scapy: packets built layer by layer by someone else's code."""

from random import Random
from typing import Any

import pytest

pytest.importorskip("scapy")
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sim.model.receive.received import Received
from sim.model.receive.terminate import Terminate
from sim.model.receive.verify import BAD, GOOD, NONE
from tests.support.networks import ENDS
from tests.support.receivers import account, receiver

VNET = 3
ENCAPSULATIONS = ("gre", "nvgre", "vxlan", "geneve", "stt")
COUNT = 60
MACS = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}  # told, or scapy would ask the network


def link(random: Random) -> Packet:
    """Ethernet with none, one or two tags."""
    packet = Ether(**MACS)
    for kind in random.choice(((), (), (Dot1Q,), (Dot1AD, Dot1Q), (Dot1Q, Dot1Q))):
        packet = packet / kind(vlan=random.randrange(4096), prio=random.randrange(8))
    return packet


def network(random: Random, version: int, **fields: Any) -> Packet:
    """The outer IP header, IPv4's with options now and then."""
    source, destination = map(str, ENDS[version])
    if version == 4:
        options = [IPOption(b"\x01")] * random.choice((0, 0, 4, 40))
        packet = IP(src=source, dst=destination, options=options, flags=random.choice((0, "DF")), id=7, **fields)
        return packet
    return IPv6(src=source, dst=destination, fl=random.getrandbits(20), **fields)


def inner(random: Random, encapsulation: str) -> tuple[Packet, tuple[str, str]]:
    """An inner frame, and what its IP and L4 checksums are."""
    packet = Ether(dst="52:54:00:00:00:02", src="52:54:00:00:00:01")
    if encapsulation != "nvgre" and random.random() < 0.3:
        packet = packet / Dot1Q(vlan=random.randrange(4096))
    version = random.choice((4, 6, 0))
    if not version:
        return packet / ARP(psrc="10.0.0.1", pdst="10.0.0.2"), (NONE, NONE)
    packet = packet / (IP(src="10.0.0.1", dst="10.0.0.2", tos=2) if version == 4 else IPv6(src="fd::1", dst="fd::2"))
    data = Raw(random.randbytes(random.randrange(1200)))
    l4 = random.choice((TCP(sport=1, dport=2), UDP(sport=1, dport=2), UDP(chksum=0), ICMP()))
    if random.random() < 0.2 and not isinstance(l4, ICMP):
        l4.chksum = 1  # scapy leaves it so; the odds against 1 being right are long
    status = NONE if isinstance(l4, ICMP) or l4.chksum == 0 else BAD if l4.chksum == 1 else GOOD
    return packet / l4 / data, (GOOD if version == 4 else NONE, status)


def wrap(random: Random, encapsulation: str, ip: Packet, key: int, frame: bytes) -> Packet:
    if encapsulation in ("gre", "nvgre"):
        fields: dict[str, int] = {"key_present": 1, "key": key}
        if encapsulation == "gre":
            fields |= {"chksum_present": random.getrandbits(1)}
            if random.getrandbits(1):
                fields |= {"seqnum_present": 1, "sequence_number": random.getrandbits(32)}
        return ip / GRE(proto=0x6558, **fields) / Raw(frame)
    if encapsulation == "stt":
        header = bytes([0, 0, 0, 0, 0, 0, 0, 0]) + key.to_bytes(8, "big") + bytes(2)
        seq, ack = (18 + len(frame)) << 16, random.getrandbits(32)
        return ip / TCP(sport=50000, dport=7471, seq=seq, ack=ack, flags="PA", window=0xFFFF) / Raw(header + frame)
    udp = UDP(sport=50000, dport=4789 if encapsulation == "vxlan" else 6081)
    if random.getrandbits(1):
        udp.chksum = 0
    if encapsulation == "vxlan":
        return ip / udp / VXLAN(flags=8, vni=key) / Raw(frame)
    options = random.choice((b"", bytes.fromhex("0102010100112233"), bytes.fromhex("0103010001030200")))
    return ip / udp / Raw(bytes(GENEVE(proto=0x6558, vni=key, optionlen=len(options) // 4))[:8] + options + frame)


def entry(encapsulation: str, version: int, key: int) -> Terminate:
    rule = "optional" if encapsulation in ("vxlan", "geneve") else None
    return Terminate(encapsulation, ENDS[version][1], VNET, key=key, udp_checksum=rule)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("encapsulation", ENCAPSULATIONS)
def test_what_scapy_builds(encapsulation: str, version: int):
    random = Random(f"{encapsulation} {version}")
    key = 0x00ABCD00 if encapsulation == "nvgre" else 0x00ABCDEF
    other = receiver(entry(encapsulation, version, key))
    for number in range(COUNT):
        packet, (ip_checksum, l4_checksum) = inner(random, encapsulation)
        frame = bytes(packet)
        wire = bytes(link(random) / wrap(random, encapsulation, network(random, version), key, frame))
        wire += bytes(random.choice((0, 0, 5)))  # Ethernet padding
        one = other.receive(wire)
        message = f"packet {number}, {packet.summary()}: {other.last_reason}; pytest '{__file__}' -k {encapsulation}"
        assert isinstance(one, Received), message
        assert (one.frame, one.vnet) == (frame, VNET), message
        assert (one.ip_checksum, one.l4_checksum) == (ip_checksum, l4_checksum), message
    assert other.counters["frames_delivered"] == COUNT
    account(other)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("encapsulation", "layer", "reason"),
    [
        ("gre", GRE, "gre_checksum"),
        ("vxlan", UDP, "udp_checksum"),
        ("geneve", UDP, "udp_checksum"),
        ("stt", TCP, "stt_checksum"),
    ],
)
def test_a_checksum_that_scapy_got_told(encapsulation: str, layer: Any, reason: str, version: int):
    random = Random(1)
    ip = IP(src="192.0.2.1", dst="192.0.2.2") if version == 4 else IPv6(src="fdee::1", dst="fdee::2")
    frame = bytes(Ether(dst="52:54:00:00:00:02", src="52:54:00:00:00:01") / IP() / UDP() / Raw(b"data"))
    packet = Ether(**MACS) / wrap(random, encapsulation, ip, 5, frame)
    if layer is GRE:
        packet[GRE].chksum_present = 1
    if layer is UDP:
        packet[UDP].chksum = None
    right = bytes(packet)
    other = receiver(entry(encapsulation, version, 5))
    assert other.receive(right) is not None
    packet = Ether(right)
    packet[layer].chksum ^= 0x0100
    assert other.receive(bytes(packet)) is None and other.last_reason == reason
    if version == 4:
        packet = Ether(right)
        packet[IP].chksum ^= 0x0001
        assert other.receive(bytes(packet)) is None and other.last_reason == "ip_checksum"


def test_fragments():
    """scapy's own fragmentation of a tunnel packet."""
    from scapy.layers.inet import fragment

    frame = bytes(Ether(**MACS) / IP() / UDP() / Raw(bytes(3000)))
    pieces = fragment(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(dport=4789) / VXLAN(flags=8, vni=5) / Raw(frame), 1400)
    other = receiver(entry("vxlan", 4, 5), slow_path=True)
    found = [other.receive(bytes(Ether(**MACS) / piece)) for piece in pieces]
    assert len(pieces) == 3 and [one and one.slow for one in found] == ["outer_fragment"] * 3
    six = IPv6(src="fdee::1", dst="fdee::2") / IPv6ExtHdrFragment(m=1, id=9) / UDP(dport=4789) / Raw(frame[:800])
    one = receiver(entry("vxlan", 6, 5), slow_path=True).receive(bytes(Ether(**MACS) / six))
    assert one is not None and one.slow == "outer_fragment"
    account(other)
