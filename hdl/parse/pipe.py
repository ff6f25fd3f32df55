"""A pipeline of beats that knows about frames: what one beat tells stays known until its frame's end."""

from copy import copy

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data

from hdl.stream.beat import words
from hdl.stream.delays import Delays
from hdl.stream.paced_pipe import Holds

MOST_REGISTERS = 13  # of a delay where most values are held: what is left is short, and its RAM would be larger


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

    Two things spare delays:

    * a value that no frame tells before its beat n is not overwritten by the next one for n cycles, so `keep(...,
      since_beat=n)` lets n more stages read the very same register;
    * behind `conclude`, values count at a few beats of a frame only, and are held from one frame's to the next's.

    Parameters
    ----------
    pace : cycles between those beats of two frames, at least
    """

    def __init__(self, m: Module, *, width: int, valid, first, last, data, pace: int = 1, **values):
        self.m, self.width, self.pace = m, width, pace
        self.lanes, self.pairs = width // 2, width // 4  # words and pairs a beat
        self.pair_bits = (self.pairs - 1).bit_length()
        self.stage = 0
        self._delays = m.submodules.delays = Delays() if pace == 1 else Delays(MOST_REGISTERS + 1)
        self._holds: Holds | None = None
        self._concluded: int | None = None  # stage from which on `_holds` take the place of `_delays`
        if pace > 1:
            m.submodules.holds = self._holds = Holds(pace)
        self._chains: dict[str, tuple[int, object]] = {}
        self._still: dict[str, int] = {}  # stages that may read a register as it is
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

    def fork(self, stage: int | None = None) -> "BeatPipe":
        """The same pipeline seen from a stage of its own: what it puts, the others can read from that stage on."""
        other = copy(self)
        other.stage = self.stage if stage is None else stage
        return other

    def put(self, **values) -> None:
        """Add or replace values in the present stage."""
        for name, value in values.items():
            self._chains[name] = (self.stage, value)
            self._still.pop(name, None)

    def step(self) -> None:
        """On to the next stage, one register later."""
        self.stage += 1

    def conclude(self, event: str) -> None:
        """From here on nothing counts but beats at which that value, one bit, is set; `valid` is true at no others.

        ::

            beat     0   1   2   3   4   5 .. 18  19 │ 0   1 ..
            event                        ▲         ▲ │             the value is held from the last ▲ on until the next
                                                                   frame's first one has come into the same stage
        What is read behind it must be the same at all these beats of a frame, or be read at the last one only.
        """
        since, value = self._chains[event]
        marked = Signal(name=f"{event}_{since}")
        self.m.d.comb += marked.eq(self.fork(since).valid & value)
        self._valids = [*self._valids[:since], marked]
        if self._holds is not None:
            self._holds.valids = self._valids
        self._concluded = since

    def keep(self, when, *, since_beat: int = 0, **values) -> None:
        """From the next stage on: each value as it was at the latest beat with `when`.

        With `since_beat` there is one such beat a frame, no earlier than that; before it comes, the value is anything.
        """
        for name, value in values.items():
            with self.m.If(self.valid & when):
                self.m.d.sync += self.state(name, _shape(value), still=since_beat).eq(value)

    def sticky(self, **conditions) -> None:
        """From the next stage on: whether a condition has held at any beat of the frame so far."""
        for name, condition in conditions.items():
            with self.m.If(self.valid):
                held = self.state(name, 1)
                self.m.d.sync += held.eq(condition | (held & ~self.first))

    def state(self, name: str, shape, *, still: int = 0) -> Signal:
        """A register that is the value of that name from the next stage on; the caller says what it becomes.

        `still`: for so many stages more it may be read as it is.
        """
        register = Signal(shape, name=f"{name}_{self.stage + 1}")
        self._chains[name] = (self.stage + 1, register)
        self._still[name] = still
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
        since = min(since + self._still.get(name, 0), self.stage)
        later = value
        if self._concluded is not None and self._holds is not None:
            start = max(since, self._concluded)
            if since < start:
                later = self._delays.at(value, since, start, name)
            if self.stage > start:
                _ = self.valid  # there is one in each stage
                later = self._holds.at(later, start, self.stage, name)
        else:
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
