"""The flow hash: CRC-16/CCITT-FALSE of what tells inner flows apart, as XOR of independent parts.

::

    bytes 0            2                    4             6                  8
          │ sum of source │ sum of destination │ source port │ destination port │ protocol │

A CRC is linear: the hash is the hash of the all-zero message XOR one contribution for each field, and each bit of a
contribution is the XOR of some bits of its field. So nothing is shifted, and the fields may come at different times.
"""

from amaranth import Cat

MESSAGE_BITS = 72
POLYNOMIAL = 0x1021
SOURCE_SUM, DESTINATION_SUM, SOURCE_PORT, DESTINATION_PORT, PROTOCOL = 0, 2, 4, 6, 8  # first byte in the message


def crc(message: int, start: int) -> int:
    """CRC-16 of a message of 9 bytes, most significant bit first."""
    value = start
    for bit in reversed(range(MESSAGE_BITS)):
        value ^= (message >> bit & 1) << 15
        value = value << 1 ^ (POLYNOMIAL if value & 0x8000 else 0)
        value &= 0xFFFF
    return value


START = crc(0, 0xFFFF)


def constant_part(value: int, offset: int) -> int:
    """What a constant byte at `offset` adds to the hash."""
    return crc(value << MESSAGE_BITS - 8 * (offset + 1), 0)


def part(word, offset: int):
    """What a 16-bit word at byte `offset` adds to the hash: 16 bits."""
    columns = [crc(1 << MESSAGE_BITS - 8 * (offset + 2) + bit, 0) for bit in range(16)]
    return Cat(Cat(word[bit] for bit in range(16) if columns[bit] >> out & 1).xor() for out in range(16))
