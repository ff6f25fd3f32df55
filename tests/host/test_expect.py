"""Comparing a run with the model: what differs is counted, and the first difference is told."""

from host.expect import Comparison, compare, tcp_payload
from tests.support.frames import arp, tcp_frame, udp_frame

A, B, C = b"a" * 20, b"b" * 20, b"c" * 20


def test_equal() -> None:
    assert compare([A, B], [A, B]) == Comparison(2, 0, None)
    assert compare([], []) == Comparison(0, 0, None)


def test_different_bytes() -> None:
    changed = B[:7] + b"x" + B[8:]
    told = "packet 2 differs from byte 7 on: 78 62 62 62 62 62 62 62, expected 62 62 62 62 62 62 62 62"
    assert compare([A, B, C], [A, changed, A]) == Comparison(3, 2, told)


def test_different_length() -> None:
    told = "packet 1 has 12 bytes, expected 20; it differs from byte 12 on: nothing, expected 61 61 61 61 61 61 61 61"
    assert compare([A], [A[:12]]) == Comparison(1, 1, told)


def test_missing_and_too_many() -> None:
    assert compare([A, B, C], [A]) == Comparison(3, 2, "packet 2 of 3 is missing")
    assert compare([A], [A, B]) == Comparison(2, 1, "packet 2 is one too many")


def test_swapped_packets_are_not_forgiven() -> None:
    assert compare([A, B], [B, A]).mismatches == 2


def test_payload_counts_tcp_only() -> None:
    assert [
        tcp_payload(frame) for frame in (tcp_frame(4, bytes(7)), tcp_frame(6, b""), udp_frame(4, b"x"), arp(), b"")
    ] == [
        7,
        0,
        0,
        0,
        0,
    ]
    assert tcp_payload(tcp_frame(4, bytes(7)) + bytes(20)) == 7, "padding is no payload"
