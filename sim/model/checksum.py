"""The Internet checksum (RFC 1071): 16-bit one's complement sums over big-endian words."""

MAX = 0xFFFF


def ones_sum(data: bytes | bytearray, start: int = 0) -> int:
    """Folded one's complement sum of `data` and `start`; an odd last byte counts as the upper half of a word.

    0x10000 is 1 modulo 0xFFFF, so adding words with the carry brought round is reading the bytes as one large number
    modulo 0xFFFF. Only a sum of nothing but zeros is 0: the other zero of one's complement is 0xFFFF.
    """
    number = int.from_bytes(data + b"\0" if len(data) & 1 else data, "big") + start
    return number % MAX or (MAX if number else 0)


def checksum(data: bytes | bytearray, start: int = 0) -> int:
    """What IPv4, TCP and GRE carry: the complement of the sum."""
    return MAX ^ ones_sum(data, start)


def udp_checksum(data: bytes | bytearray, start: int = 0) -> int:
    """As `checksum`, but a computed 0 goes as 0xFFFF, because 0 says "none" (RFC 768)."""
    return checksum(data, start) or MAX
