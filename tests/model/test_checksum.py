"""The Internet checksum against RFC 1071's own example and a sum word by word."""

from random import Random

import pytest

from sim.model.checksum import checksum, ones_sum, udp_checksum
from tests.support.wire import words_sum


def test_the_example_of_rfc_1071():
    assert ones_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.parametrize("length", [0, 1, 2, 3, 20, 1459, 1460, 65535])
def test_as_word_by_word(length: int):
    data = Random(length).randbytes(length)
    assert ones_sum(data) == words_sum(data)
    assert ones_sum(data, 0xFFFE) == words_sum(data + b"\0" * (length % 2) + b"\xff\xfe")


def test_two_zeros():
    assert ones_sum(bytes(8)) == 0
    assert ones_sum(b"\xff\xff" * 3) == 0xFFFF
    assert ones_sum(b"\x12\x34\xed\xcb") == 0xFFFF


def test_only_udp_never_sends_zero():
    assert checksum(b"\xff\xff") == 0
    assert udp_checksum(b"\xff\xff") == 0xFFFF
    assert udp_checksum(b"\x00\x01") == checksum(b"\x00\x01") == 0xFFFE
