"""Arithmetic of an Ethernet wire: how long packets take on it, whatever sends them.

::

    │ preamble 8 │ packet, at least 60 │ FCS 4 │ gap 12 │      bytes
"""

from collections.abc import Iterable

SHORTEST = 60
AROUND = 24  # preamble, frame check sequence and gap
BEHIND = 16  # frame check sequence and gap


def units(lengths: Iterable[int]) -> int:
    """Byte times that packets of these lengths take, back to back."""
    return sum(max(length, SHORTEST) + AROUND for length in lengths)


def seconds(byte_times: float, line_bps: int) -> float:
    return byte_times * 8 / line_bps


def limit(payload: int, lengths: Iterable[int], line_bps: int) -> float:
    """Bits of payload a second where the packets that carry it follow each other without a pause."""
    return rate(payload, seconds(units(lengths), line_bps))


def rate(payload: int, over: float) -> float:
    """Bits a second; 0 where no time passed."""
    return payload * 8 / over if over > 0 else 0.0
