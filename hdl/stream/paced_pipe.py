"""A pipeline whose values come a few cycles apart, so that a register holds each of them for several stages."""

from amaranth import Elaboratable, Module, Signal, Value

from hdl.stream.pipe import Pipe


class Holds(Elaboratable):
    """Every delay of a `PacedPipe`; a value is held only as far as it is read.

    ::

        stage     0        1  2  3  4  5  6      7  8 ..
        value ─── taken ── register ──────────── register ──      pace = 6: a new one may come every sixth cycle
    """

    def __init__(self, pace: int) -> None:
        self.pace = pace
        self.valids: list = []  # by stage
        self.wires: list[tuple[Signal, Value]] = []
        self._chains: dict[int, tuple[Value, int, list[Signal]]] = {}

    def at(self, value, since: int, stage: int, name: str):
        """`value`, which belongs to stage `since`, in a later stage."""
        if stage == since:
            return value
        _, _, chain = self._chains.setdefault(id(value), (value, since, []))
        which = (stage - since - 1) // self.pace
        while len(chain) <= which:
            later = since + 1 + self.pace * len(chain)
            chain.append(Signal(Value.cast(value).shape(), name=f"{name}_{later}", reset_less=True))
        return chain[which]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [wire.eq(value) for wire, value in self.wires]
        for value, since, chain in self._chains.values():
            source = Value.cast(value)
            for number, register in enumerate(chain):
                if self.pace == 1:
                    m.d.sync += register.eq(source)
                else:
                    with m.If(self.valids[since + self.pace * number]):
                        m.d.sync += register.eq(source)
                source = register
        return m


class PacedPipe(Pipe):
    """A `Pipe` in which `valid` comes at most every `pace` cycles: as many registers less does each value take.

    What is put in a stage must be right in the cycle of that stage's `valid` only; what is read is right from then on
    for as many stages as one register holds it.

    Parameters
    ----------
    pace : cycles from one `valid` to the next, at least; 1 is a `Pipe` with all delays in registers
    """

    def __init__(self, m: Module, valid, *, pace: int, **values):
        self._m = m
        self._delays = Holds(pace)
        m.submodules += self._delays
        self._values: dict[str, object] = {}
        self.cycles = 0
        self.valid = valid
        self._delays.valids.append(valid)
        self.put(**values)

    def put(self, **values) -> None:
        """Add or replace values in the present stage; an expression becomes a signal."""
        for name, value in values.items():
            if isinstance(value, Value) and not isinstance(value, Signal):
                wire = Signal(value.shape(), name=name)
                self._delays.wires.append((wire, value))
                values[name] = wire
        super().put(**values)

    def valid_at(self, stage: int):
        """`valid` in a stage that has been reached."""
        return self._delays.valids[stage]

    def step(self) -> None:
        """On to the next stage, one register later."""
        super().step()
        self._delays.valids.append(self.valid)
