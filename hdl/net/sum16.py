"""One's complement arithmetic on 16-bit words (RFC 1071), one adder a stage.

A running sum is kept as 17 bits: 16 of sum and the carry that has yet to come around. `plus` adds a word and the old
carry in one 17-bit adder, `fold` brings the last carry around. From a start without carry a sum never is 0x1FFFF, so
one fold is enough.
"""

from amaranth import Cat, Const


def running(word):
    """A running sum that begins with a 16-bit word."""
    return Cat(word[:16], Const(0, 1))


def plus(total, word):
    """A running sum (17 bits) plus a 16-bit word."""
    return (Cat(Const(1, 1), total[:16]) + Cat(total[16], word[:16]))[1:18]


def fold(total):
    """A running sum as a 16-bit word."""
    return (total[:16] + total[16])[:16]


def gate(condition, word):
    """`word` where the one-bit `condition` holds, else zero."""
    return word & condition.replicate(len(word))
