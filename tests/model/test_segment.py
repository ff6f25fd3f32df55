"""What happens to inner headers: segments, checksums, and the bytes that nobody may touch."""

from struct import pack, unpack_from

import pytest

from sim.model.parse import parse
from sim.model.segment import needs_cutting, segment
from tests.support.frames import (
    ACK,
    C_TAG,
    CWR,
    DESTINATION,
    ECE,
    FIN,
    ICMP,
    IPV4,
    PSH,
    SYN,
    TIMESTAMPS,
    URG,
    ethernet,
    extension,
    ipv4,
    tcp_frame,
    udp_frame,
)
from tests.support.wire import words_sum

DATA = bytes(range(256)) * 4


def cut(frame: bytes, gso_size: int, accecn: bool = False) -> list[bytes]:
    return segment(parse(frame), gso_size, accecn)


def l4_is_good(packet: bytes) -> bool:
    headers = parse(packet)
    body = packet[headers.l4 : headers.ip_end]
    pseudo = b"".join(headers.addresses) + pack("!HH", headers.protocol, len(body))
    return words_sum(pseudo + body) == 0xFFFF


def ip_is_good(packet: bytes) -> bool:
    headers = parse(packet)
    return (
        headers.ip_version == 6 or words_sum(packet[headers.l3 : headers.l3 + 4 * (packet[headers.l3] & 15)]) == 0xFFFF
    )


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tags", [[], [(C_TAG, 0xE001)]])
def test_segments(version: int, tags: list[tuple[int, int]]):
    extra: dict[str, object] = (
        {"options": b"\x01" * 4} if version == 4 else {"extensions": [(DESTINATION, extension(16))]}
    )
    frame = tcp_frame(version, DATA, tags=tags, options=TIMESTAMPS, sequence=0xFFFFFF00, ip=extra)
    packets, whole = cut(frame, 500), parse(frame)
    assert [len(parse(packet).payload) for packet in packets] == [500, 500, 24]
    assert b"".join(parse(packet).payload for packet in packets) == DATA
    for number, packet in enumerate(packets):
        headers = parse(packet)
        assert headers.tcp and headers.trailer == b"" and ip_is_good(packet) and l4_is_good(packet)
        assert (headers.l3, headers.l4, headers.header_length) == (whole.l3, whole.l4, whole.header_length)
        sequence, acknowledgement = unpack_from("!II", packet, headers.l4 + 4)
        assert sequence == (0xFFFFFF00 + 500 * number) % 2**32 and acknowledgement == 0x01020304
        assert packet[headers.l4 + 20 : headers.header_length] == TIMESTAMPS
        assert packet[: headers.l3] == frame[: headers.l3]


def test_the_identification_wraps():
    packets = cut(tcp_frame(4, DATA, ip={"identification": 0xFFFF}), 400)
    assert [unpack_from("!H", packet, 18)[0] for packet in packets] == [0xFFFF, 0, 1]


@pytest.mark.parametrize(
    ("flags", "accecn", "expected"),
    [
        (ACK, False, [ACK, ACK, ACK]),
        (ACK | FIN | PSH, False, [ACK, ACK, ACK | FIN | PSH]),
        (ACK | CWR | ECE, False, [ACK | CWR | ECE, ACK | ECE, ACK | ECE]),
        (ACK | CWR | ECE, True, [ACK | CWR | ECE] * 3),
        (ACK | URG | SYN, False, [ACK | URG | SYN] * 3),
        (0xFF, False, [0xFF & ~(FIN | PSH), 0xFF & ~(FIN | PSH | CWR), 0xFF & ~CWR]),
        (0xFF, True, [0xFF & ~(FIN | PSH)] * 2 + [0xFF]),
    ],
)
def test_flags(flags: int, accecn: bool, expected: list[int]):
    packets = cut(tcp_frame(4, DATA, flags=flags, urgent=7), 400, accecn)
    assert [packet[47] for packet in packets] == expected
    assert {packet[52:54] for packet in packets} == {b"\0\7"}


def test_the_accurate_ecn_bit_is_copied():
    frame = bytearray(tcp_frame(4, DATA))
    frame[46] |= 1
    assert {packet[46] for packet in cut(bytes(frame), 400)} == {0x51}


@pytest.mark.parametrize(
    ("payload", "gso_size", "count"),
    [
        (1000, 0, 1),
        (1000, 1000, 1),
        (1000, 999, 2),
        (1000, 500, 2),
        (1000, 499, 3),
        (3, 1, 3),
        (0, 1, 1),
        (1000, 65535, 1),
    ],
)
def test_how_many(payload: int, gso_size: int, count: int):
    packets = cut(tcp_frame(6, bytes(payload)), gso_size)
    assert len(packets) == count and all(map(l4_is_good, packets))


def test_what_is_never_cut():
    padded = tcp_frame(4, DATA) + b"pad"
    fragment = tcp_frame(4, DATA, ip={"flags_and_offset": 0x2000})
    for frame in (padded, fragment, udp_frame(4, DATA), tcp_frame(4, DATA)[:-1]):
        assert not needs_cutting(parse(frame), 100)
        assert len(cut(frame, 100)) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_trailer_passes_and_does_not_count(version: int):
    (packet,) = cut(tcp_frame(version, b"odd") + b"\xde\xad", 0)
    assert packet[-2:] == b"\xde\xad" and l4_is_good(packet) and ip_is_good(packet)


@pytest.mark.parametrize("version", [4, 6])
def test_udp(version: int):
    (packet,) = cut(udp_frame(version, b"data", checksum=1), 0)
    assert l4_is_good(packet) and ip_is_good(packet)


@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_checksum_of_zero_stays_zero(version: int):
    frame = udp_frame(version, b"data", checksum=0)
    (packet,) = cut(frame, 0)
    at = parse(frame).l4 + 6
    assert packet[at : at + 2] == b"\0\0" and ip_is_good(packet)
    assert packet[at:] == frame[at:]


@pytest.mark.parametrize("version", [4, 6])
def test_a_computed_udp_zero_goes_as_ffff(version: int):
    frame = udp_frame(version, b"\0\0", checksum=1)
    at = parse(frame).l4 + 6
    (packet,) = cut(frame, 0)
    (packet,) = cut(udp_frame(version, packet[at : at + 2], checksum=1), 0)  # what is left to 0xFFFF: now nothing is
    assert packet[at : at + 2] == b"\xff\xff" and l4_is_good(packet)


def test_a_tcp_checksum_may_be_zero():
    (packet,) = cut(tcp_frame(4, b"\0\0"), 0)
    (packet,) = cut(tcp_frame(4, packet[50:52]), 0)
    assert packet[50:52] == b"\0\0" and l4_is_good(packet)


def test_ipv4_checksum_even_where_there_is_no_l4():
    for frame in (
        ethernet(IPV4, ipv4(ICMP, b"ping", checksum=0xDEAD)),
        tcp_frame(4, b"x", ip={"flags_and_offset": 0x2000, "checksum": 0xDEAD}),
        ethernet(IPV4, ipv4(ICMP, b"", options=b"\x01" * 40, checksum=0xDEAD)),
    ):
        (packet,) = cut(frame, 0)
        assert ip_is_good(packet)
        assert packet[:24] + packet[26:] == frame[:24] + frame[26:]


def test_unparsed_frames_pass_byte_for_byte():
    frame = tcp_frame(4, b"x", ip={"checksum": 0xDEAD})
    for hostile in (frame[:-1], frame[:40], frame[:46] + b"\xf0" + frame[47:], frame[:20]):
        assert parse(hostile).unparsed
        assert cut(hostile, 1) == [hostile]
