"""Questions about many bits at once, as trees of small lookup tables."""

from amaranth import Cat, Module, Signal, Value


def equal(m: Module, one: Value, other: Value) -> Value:
    """Whether two values are equal, two bits in a LUT4.

    Left alone, ABC takes each bit apart into two implications, and spends almost twice as many LUTs.
    """
    pairs = Signal(-(-len(one) // 2), name="pairs", attrs={"keep": 1})
    m.d.comb += pairs.eq(Cat(one[i : i + 2] == other[i : i + 2] for i in range(0, len(one), 2)))
    return pairs.all()


def encode(one_hot: Value) -> Value:
    """The number of the bit that is set."""
    bits = (len(one_hot) - 1).bit_length()
    return Cat(Cat(one_hot[i] for i in range(len(one_hot)) if i >> bit & 1).any() for bit in range(bits))


def prefix_or(value: Value) -> Value:
    """Bit n: one of the bits up to n is set."""
    return Cat(value[: n + 1].any() for n in range(len(value)))


def count_few(bits: Value) -> Value:
    """How many of four bits are set: three lookup tables."""
    pairs = [bits[n] & bits[k] for n in range(4) for k in range(n)]
    return Cat(bits.xor(), Cat(pairs).any() & ~bits.all(), bits.all())


def halve(numbers: list) -> list:
    """Fewer numbers with the same sum: four become one."""
    return [total(numbers[n : n + 4]) for n in range(0, len(numbers), 4)]


def total(numbers: list) -> Value:
    """The sum, as a tree."""
    while len(numbers) > 1:
        numbers = [sum(numbers[n : n + 2][1:], numbers[n]) for n in range(0, len(numbers), 2)]
    return numbers[0]
