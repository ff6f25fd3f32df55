"""Toeplitz's hash with the key 6d5a, 6d5a ...: the key repeats every 16 bits, so words may be exchanged (or XORed).

::

    hash(w0, w1, w2 ...) = hash(w0 ^ w1 ^ w2 ...)       both directions of a flow have the same
"""

from amaranth import Cat

KEY = 0x6D5A


def toeplitz(word):
    """The hash of a message of one 16-bit word: 32 bits, of which the upper 16 are the lower 16."""
    half = Cat(Cat(word[15 - at] for at in range(16) if KEY >> (15 - (at + 15 - out) % 16) & 1).xor() for out in range(16))
    return Cat(half, half)
