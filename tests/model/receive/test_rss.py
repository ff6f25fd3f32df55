"""The receive hash: Microsoft's numbers for the function, and what our key makes of it."""

from ipaddress import ip_address
from random import Random
from struct import pack

import pytest

from sim.model.parse import parse
from sim.model.receive.rss import receive_hash, toeplitz
from tests.support.frames import C_TAG, Draw, arp, ethernet, ipv4, samples, tcp_frame, udp_frame

# "Verifying the RSS Hash Calculation", Windows hardware documentation: key, ends, hash of the addresses, and with ports
MICROSOFT = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
ENDS = (
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xD718262A, 0xC626B0EA),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xD2D0A5DE, 0x5C2B394A),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2CC18CD5, 0x40207D3D),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0F0C461C, 0xDDE51BBF),
)  # fmt: skip


@pytest.mark.parametrize("ends", ENDS)
def test_as_it_is_published(ends: tuple[str, int, str, int, int, int]):
    source, source_port, destination, destination_port, addresses, all_four = ends
    data = ip_address(source).packed + ip_address(destination).packed
    assert toeplitz(data, MICROSOFT) == addresses
    assert toeplitz(data + pack("!HH", source_port, destination_port), MICROSOFT) == all_four


def folded(headers: bytes) -> int:
    """The same with our key: it repeats every 16 bits, so only the XOR of all words counts."""
    total, result = 0, 0
    for at in range(0, len(headers), 2):
        total ^= int.from_bytes(headers[at : at + 2], "big")
    for bit in range(16):
        if total >> (15 - bit) & 1:
            result ^= (0x6D5A6D5A6D5A >> (16 - bit)) & 0xFFFFFFFF
    return result


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("make", [tcp_frame, udp_frame])
def test_addresses_and_ports(make: object, version: int):
    draw = Draw(Random(1), 100)
    for _ in range(50):
        one, other = draw.addresses(4 if version == 4 else 16)
        ports = (draw.random.getrandbits(16), draw.random.getrandbits(16))
        there = make(version, b"x", ports=ports, ip={"addresses": (one, other)})  # type: ignore[operator]
        back = make(version, b"y" * 9, ports=ports[::-1], tags=[(C_TAG, 1)], ip={"addresses": (other, one)})  # type: ignore[operator]
        expected = folded(one + other + pack("!HH", *ports))
        assert receive_hash(parse(there)) == receive_hash(parse(back)) == expected


def test_no_ports():
    """Of fragments, other protocols and headers that lie; and nothing at all without IP."""
    addresses = folded(bytes.fromhex("0a010002 0a020002"))
    fragment = tcp_frame(4, b"x", ip={"flags_and_offset": 0x2000})
    other = ethernet(0x0800, ipv4(1, bytes(8)))
    cut = tcp_frame(4, b"x")[:-10]
    assert parse(cut).unparsed
    assert {receive_hash(parse(frame)) for frame in (fragment, other, cut)} == {addresses}
    assert receive_hash(parse(arp())) == 0


def test_any_frame():
    for sample in samples(seed=5, count=300, largest=2000):
        if len(sample.frame) >= 14:
            headers = parse(sample.frame)
            ports = headers.frame[headers.l4 : headers.l4 + 4] if headers.tcp or headers.udp else b""
            data = b"".join(headers.addresses) + ports if headers.ip_version else b""
            assert receive_hash(headers) == folded(data), str(sample)
