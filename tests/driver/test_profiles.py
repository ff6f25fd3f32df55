"""Rendered profiles: what a card that only has its tables puts on the wire is the model's and scapy's word."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.all import GRE, IP, UDP, Ether, IPv6, Packet
from scapy.contrib.geneve import GENEVE
from scapy.layers.l2 import Dot1Q
from scapy.layers.vxlan import VXLAN

from driver import tables
from driver.profiles import render
from hdl.registers.tables import TEMPLATE_BYTES
from sim.model.card import Card
from sim.model.network import Network, Tunnel
from tests.driver.networks import for_driver
from tests.driver.table_card import TableCard
from tests.support.frames import samples, tcp_frame
from tests.support.networks import MIXED, NETWORKS, NEXT_HOP, network


def programmed(of: Network, width: int = 8) -> TableCard:
    card = TableCard(width)
    tables.program(card, for_driver(of), width)
    return card


@pytest.mark.parametrize("name", NETWORKS)
def test_same_packets_as_the_model(name: str) -> None:
    """Good and hostile frames through every encapsulation, in one run, so that counters go on."""
    seed = 20
    of = NETWORKS[name]
    card, model = programmed(of), Card(of)
    for number, sample in enumerate(samples(seed, 80, largest=4000)):
        want = model.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        got = card.send(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        assert got == want, f"frame {number} ({sample}); repeat: pytest 'tests/driver/test_profiles.py' -k '{name}'"


@pytest.mark.parametrize("width", (8, 16, 32, 64))
def test_every_width_holds_the_same_templates(width: int) -> None:
    card, model = programmed(MIXED, width), Card(MIXED)
    for vport in MIXED.vports:
        for sample in samples(vport, 20):
            want = model.transmit(sample.frame, vport=vport, gso_size=sample.gso_size, accecn=sample.accecn)
            assert card.send(sample.frame, vport=vport, gso_size=sample.gso_size, accecn=sample.accecn) == want


def outer_by_scapy(tunnel: Tunnel, inner: bytes, *, tos: int, identification: int, port: int, sequence: int) -> Packet:
    """The whole packet as scapy builds it, every checksum its own."""
    link = Ether(dst=NEXT_HOP.hex(":"), src="02:00:00:00:00:01")
    if tunnel.vlan is not None:
        link = link / Dot1Q(vlan=tunnel.vlan)
    ends = {"src": str(tunnel.local), "dst": str(tunnel.remote)}
    if tunnel.version == 4:
        ip = IP(**ends, tos=tos, id=identification, flags="DF" if tunnel.df else 0, ttl=tunnel.ttl)
    else:
        ip = IPv6(**ends, tc=tos, hlim=tunnel.ttl)
    return link / ip / wrapped(tunnel, inner, port, sequence)


def wrapped(tunnel: Tunnel, inner: bytes, port: int, sequence: int) -> Packet:
    if tunnel.encapsulation in ("gre", "nvgre"):
        optional: dict[str, Any] = {"proto": 0x6558}
        optional |= {"chksum_present": 1} if tunnel.has_checksum else {}
        optional |= {"key_present": 1, "key": tunnel.key} if tunnel.key is not None else {}
        optional |= {"seqnum_present": 1, "sequence_number": sequence} if tunnel.sequence else {}
        return GRE(**optional) / Ether(inner)
    no_checksum = {} if tunnel.has_checksum else {"chksum": 0}
    if tunnel.encapsulation == "vxlan":
        return UDP(sport=port, dport=4789, **no_checksum) / VXLAN(flags=8, vni=tunnel.key) / Ether(inner)
    header = GENEVE(proto=0x6558, vni=tunnel.key, options=tunnel.options, critical=int(bool(tunnel.options)))
    return UDP(sport=port, dport=6081, **no_checksum) / header / Ether(inner)


NOT_STT = [name for name, of in NETWORKS.items() if of.tunnels and of.tunnels[0].encapsulation != "stt"]


@pytest.mark.parametrize("name", NOT_STT)
def test_headers_as_scapy_builds_them(name: str) -> None:
    of = NETWORKS[name]
    tunnel, card = of.tunnels[0], programmed(of)
    inner = bytes(Ether(tcp_frame(4, bytes(range(200)), ip={"tos": 0xB9})))
    for number in range(3):
        (packet,) = card.send(inner)
        start = (18 if tunnel.vlan else 14) + (20 if tunnel.version == 4 else 40)
        port = int.from_bytes(packet[start : start + 2], "big")
        carried = packet[-len(inner) :]
        tos = 0xB9 if tunnel.dscp is None else tunnel.dscp << 2 | 1
        built = outer_by_scapy(tunnel, carried, tos=tos, identification=number, port=port, sequence=number)
        assert bytes(built).hex(" ") == packet.hex(" ")


def test_largest_template_fits() -> None:
    """The longest outer header there is: tag, IPv6, UDP, Geneve with 32 bytes of options."""
    of = NETWORKS["geneve-v6-options"]
    tunnel = for_driver(replace(of, tunnels=[replace(of.tunnels[0], vlan=1)])).tunnels[0]
    fields = dict(render(tunnel, bytes(6)).fields)
    assert 2 * fields["words"] == 18 + 40 + 8 + 8 + 32 <= TEMPLATE_BYTES


def test_limits_leave_out_what_is_free() -> None:
    """An outer tag is no part of the MTU; STT's 18-byte header is."""
    of = network(
        Tunnel("stt", ip_address("192.0.2.1"), ip_address("192.0.2.2"), NEXT_HOP, key=1, vlan=5, stt_mode="frame")
    )
    fields = dict(render(for_driver(of).tunnels[0], of.mac).fields)
    assert (fields["max_length"], fields["stt_capacity"]) == (1500 - 20 - 20 - 18, 1500 - 20 - 20)
