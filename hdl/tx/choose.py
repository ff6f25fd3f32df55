"""Choosing one of several words, as cheaply as a device's lookup tables allow."""

from collections.abc import Iterable, Sequence

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


def any_of(values: Iterable[Value]) -> Value:
    """All values ORed."""
    result, *others = values
    for value in others:
        result = result | value
    return result


def choose(terms: Iterable[tuple[Value, Value]]) -> Value:
    """The values whose selects are set, ORed: half a 4-input LUT a term and bit."""
    return any_of(value & select.replicate(len(value)) for select, value in terms)


class Chooser(wiring.Component):
    """Choose one of up to 32 words by its number.

    ::

        number ─ decode ─┬─ low ────────┬─ high ────┐
        words (1 later) ─┴─ [ groups ] ─┴─ [ o ] ───┴──> o

    With 4-input LUTs a one-hot select and AND-OR are smallest, with 6-input LUTs a tree of 4:1 multiplexers.

    Ports: `number`; a cycle later `words`; `o` 3 cycles after `number`.

    Latency: 3 cycles. Throughput: one word a cycle. A number that is not among `numbers` chooses anything.

    Parameters
    ----------
    numbers : that may be chosen, ascending; `words` are in their order
    six : the device has 6-input LUTs
    """

    def __init__(self, numbers: Sequence[int], *, six: bool):
        self.numbers, self.six = list(numbers), six
        self.bits = self.numbers[-1].bit_length()
        super().__init__({"number": In(self.bits), "words": In(data.ArrayLayout(16, len(self.numbers))), "o": Out(16)})

    def elaborate(self, platform):
        m = Module()
        words = {number: self.words[at] for at, number in enumerate(self.numbers)}
        if self.six:
            self.multiplexers(m, words)
        else:
            self.and_or(m, words)
        return m

    def and_or(self, m: Module, words: dict[int, Value]) -> None:
        """Half of a 4-input LUT a word and bit, and a third of one more."""
        hot = {number: Signal(name=f"hot_{number}", reset_less=True) for number in words}
        m.d.sync += [select.eq(self.number == number) for number, select in hot.items()]
        pairs = []
        for at in range(0, len(words), 2):
            pair = Signal(16, name=f"pair_{at}", reset_less=True)
            m.d.sync += pair.eq(choose((hot[number], words[number]) for number in self.numbers[at : at + 2]))
            pairs.append(pair)
        m.d.sync += self.o.eq(any_of(pairs))

    def multiplexers(self, m: Module, words: dict[int, Value]) -> None:
        """A quarter of a 6-input LUT a word and bit, and a third of that again."""
        number = Signal(self.bits, reset_less=True)
        high = Signal(self.bits - 2, reset_less=True)
        m.d.sync += [number.eq(self.number), high.eq(number[2:])]
        groups = {}
        for group in sorted({n >> 2 for n in words}):
            groups[group] = Signal(16, name=f"group_{group}", reset_less=True)
            members = {n & 3: word for n, word in words.items() if n >> 2 == group}
            m.d.sync += groups[group].eq(_lookup(members, number[:2]))
        m.d.sync += self.o.eq(_lookup(groups, high))


def _lookup(words: dict[int, Value], number: Value) -> Value:
    """A tree of 2:1 multiplexers; places that are not taken take their neighbour's word."""
    if len(words) == 1:
        return next(iter(words.values()))
    top = len(number) - 1
    low, high = ({n & (1 << top) - 1: w for n, w in words.items() if n >> top == half} for half in (0, 1))
    if not low or not high:
        return _lookup(low or high, number[:top])
    return Mux(number[top], _lookup(high, number[:top]), _lookup(low, number[:top]))
