"""A pipeline written from top to bottom: named values that move one register on at each `step`."""

from amaranth import Module, Signal, Value
from amaranth.lib import data


class Pipe:
    """Values that travel together through a free-running pipeline (no stall, no ready).

    ::

        pipe = Pipe(m, valid=i_valid, a=a, b=b)
        pipe.step()                        # one register later: pipe.a, pipe.b, pipe.valid
        pipe.put(sum=pipe.a + pipe.b)      # combinational in this stage
        pipe.step()                        # pipe.sum is registered

    `valid` is reset to 0; the others have no reset. A value that no later stage reads is removed by synthesis, so
    nobody keeps a list of what is still needed. A value put under the name of an older one replaces it from there on.
    """

    def __init__(self, m: Module, valid, **values):
        self._m = m
        self._values: dict[str, object] = {}
        self.cycles = 0  # registers passed so far: the latency
        self.valid = valid
        self.put(**values)

    def put(self, **values) -> None:
        """Add or replace values in the present stage."""
        self._values.update({name: value for name, value in values.items()})

    def step(self) -> None:
        """Register every value."""
        self.cycles += 1
        for name, value in self._values.items():
            self._values[name] = self._register(name, value)
        valid = Signal(name=f"valid_{self.cycles}")
        self._m.d.sync += valid.eq(self.valid)
        self.valid = valid

    def _register(self, name, value):
        shape = value.shape() if isinstance(value, data.View) else Value.cast(value).shape()
        stage = Signal(shape, name=f"{name}_{self.cycles}", reset_less=True)
        self._m.d.sync += stage.eq(value)
        return stage

    def __getattr__(self, name: str):
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"the pipeline carries no {name!r} at this stage") from None
