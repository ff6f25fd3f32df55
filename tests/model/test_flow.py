"""The flow hash, computed bit by bit."""

from struct import pack

import pytest

from sim.model.flow import flow_hash, source_port
from sim.model.parse import parse
from tests.support.frames import (
    C_TAG,
    ICMP,
    IPV6,
    V4,
    V6,
    arp,
    ethernet,
    ipv6,
    tcp_frame,
    udp_frame,
)
from tests.support.wire import words_sum


def crc(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, a bit at a time."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def expected(source: bytes, destination: bytes, ports: tuple[int, int] = (0, 0), protocol: int = 0) -> int:
    return crc(pack("!HHHHB", words_sum(source), words_sum(destination), *ports, protocol))


def test_the_crc_is_the_one_it_says():
    assert crc(b"123456789") == 0x29B1


@pytest.mark.parametrize(("version", "addresses"), [(4, V4), (6, V6)])
def test_five_fields(version: int, addresses: tuple[bytes, bytes]):
    ports = (0xABCD, 443)
    assert flow_hash(parse(tcp_frame(version, b"x", ports=ports))) == expected(*addresses, ports, 6)
    assert flow_hash(parse(udp_frame(version, b"x", ports=ports))) == expected(*addresses, ports, 17)
    assert flow_hash(parse(udp_frame(version, b"x", ports=ports, checksum=0))) == expected(*addresses, ports, 17)


def test_no_ports_without_l4():
    fragment = tcp_frame(4, b"x", ip={"flags_and_offset": 0x2000})
    assert flow_hash(parse(fragment)) == expected(*V4)
    assert flow_hash(parse(ethernet(IPV6, ipv6(ICMP, b"x")))) == expected(*V6)


@pytest.mark.parametrize("tags", [[], [(C_TAG, 5)], [(C_TAG, 5), (C_TAG, 6)], [(C_TAG, 5)] * 3])
def test_layer_2_where_there_is_no_ip(tags: list[tuple[int, int]]):
    frame = ethernet(0x88CC, b"lldp", tags=tags)
    assert flow_hash(parse(frame)) == expected(frame[: 14 + 4 * min(len(tags), 2)], b"")
    unparsed = tcp_frame(4, b"x", tags=tags[:2])[:-1]
    assert flow_hash(parse(unparsed)) == expected(unparsed[: 14 + 4 * len(tags[:2])], b"")


def test_ports_of_rfc_7348():
    flows = [parse(arp()), *(parse(tcp_frame(4, b"", ports=(n, 80))) for n in range(1000))]
    ports = [source_port(flow) for flow in flows]
    assert ports == [49152 + flow_hash(flow) % 16384 for flow in flows]
    assert len(set(ports)) > 900 and max(ports) > 65000
