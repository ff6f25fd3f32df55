"""A pipeline of beats that knows about frames: what one beat tells stays known until its frame's end."""

from copy import copy

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data

from hdl.stream.beat import words
from hdl.stream.delays import Delays


class BeatPipe:
    """Values that travel beside a beat through a free-running pipeline (no stall, no ready).

    ::

        pipe.put(hit=pipe.index == 3)             # combinational in this stage
        pipe.keep(pipe.hit, type=word)            # from the next stage on: the word of the last beat with a hit,
        pipe.sticky(seen=pipe.hit)                #   and whether this frame has had one, both with this beat included
        pipe.step()                               # one register later: pipe.hit, pipe.type, pipe.seen

    So each stage knows all that the beats up to its own have told, and no beat waits for another. A kept value is that
    of an earlier frame until its hit; a sticky one begins as 0 with each frame. A value is delayed only as far as it is
    read.

    Words are seen in *pairs*: pair p is words 2p - 1 and 2p, and lies in the beat of its second word; beat b has
    pairs b * `pairs` and on. Every header from the network layer on begins at a pair and is whole pairs long.
    """

    def __init__(self, m: Module, *, width: int, valid, first, last, data, **values):
        self.m, self.width = m, width
        self.lanes, self.pairs = width // 2, width // 4  # words and pairs a beat
        self.pair_bits = (self.pairs - 1).bit_length()
        self.stage = 0
        self._delays = m.submodules.delays = Delays()
        self._chains: dict[str, tuple[int, object]] = {}
        self._valid_delays = m.submodules.valids = Module()  # apart: `valid` may first be read within an `If`
        self._valids = [valid]
        self.put(first=first, last=last, data=data, **values)

    @property
    def valid(self):
        """A beat is in this stage."""
        while len(self._valids) <= self.stage:
            later = Signal(name=f"valid_{len(self._valids)}")
            self._valid_delays.d.sync += later.eq(self._valids[-1])
            self._valids.append(later)
        return self._valids[self.stage]

    def fork(self) -> "BeatPipe":
        """The same pipeline seen from its own stage: what it puts, the others can read from that stage on."""
        return copy(self)

    def put(self, **values) -> None:
        """Add or replace values in the present stage."""
        for name, value in values.items():
            self._chains[name] = (self.stage, value)

    def step(self) -> None:
        """On to the next stage, one register later."""
        self.stage += 1

    def keep(self, when, **values) -> None:
        """From the next stage on: each value as it was at the latest beat with `when`."""
        for name, value in values.items():
            with self.m.If(self.valid & when):
                self.m.d.sync += self.state(name, _shape(value)).eq(value)

    def sticky(self, **conditions) -> None:
        """From the next stage on: whether a condition has held at any beat of the frame so far."""
        for name, condition in conditions.items():
            with self.m.If(self.valid):
                held = self.state(name, 1)
                self.m.d.sync += held.eq(condition | (held & ~self.first))

    def state(self, name: str, shape) -> Signal:
        """A register that is the value of that name from the next stage on; the caller says what it becomes."""
        register = Signal(shape, name=f"{name}_{self.stage + 1}")
        self._chains[name] = (self.stage + 1, register)
        return register

    def before(self, value, *, restart=None):
        """`value` as it was at the previous beat; at a frame's first beat what `restart` says, or anything at all."""
        held = Signal(_shape(value), name=f"before_{self.stage}")
        with self.m.If(self.valid):
            self.m.d.sync += held.eq(value if restart is None else Mux(self.last, restart, value))
        return held

    def words(self, source=None) -> list[Value]:
        """The words of the present beat."""
        return words(self.data if source is None else source, self.lanes)

    def pair_words(self) -> list[tuple[Value, Value]]:
        """The pairs of the present beat; the first word of pair 0 came with the beat before."""
        here = self.words()
        return list(zip([self.before(here[-1]), *here[1:-1:2]], here[0::2], strict=True))

    def __getattr__(self, name: str):
        if name not in self.__dict__.get("_chains", ()):
            raise AttributeError(f"the pipeline carries no {name!r}")
        since, value = self._chains[name]
        if since > self.stage:
            raise AttributeError(f"{name!r} is known from stage {since} on; this is stage {self.stage}")
        later = self._delays.at(value, since, self.stage, name)
        return value.shape()(later) if isinstance(value, data.View) and later is not value else later


def _shape(value):
    return value.shape() if isinstance(value, data.View) else Value.cast(value).shape()


def at_least(value, constant: int):
    """Whether `value` is `constant` or more, as plain logic (no carry chain)."""
    enough = 1
    for i in range(len(value)):
        enough = value[i] & enough if constant >> i & 1 else value[i] | enough
    return enough
