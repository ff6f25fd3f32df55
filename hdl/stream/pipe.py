"""A pipeline written from top to bottom: named values that move one register on at each `step`."""

from amaranth import Cat, Module, Signal, ValueCastable
from amaranth.lib import data

from hdl.stream.delays import Delays


class Pipe:
    """Values that travel together through a free-running pipeline (no stall, no ready).

    ::

        pipe = Pipe(m, valid=i_valid, a=a, b=b)
        pipe.step()                        # one register later: pipe.a, pipe.b, pipe.valid
        pipe.put(sum=pipe.a + pipe.b)      # combinational in this stage
        pipe.step()                        # pipe.sum is registered

    `valid` is reset to 0; the others have no reset. A value, or a field of a record, is delayed only as far as it is
    read (see `Delays`), so nobody keeps a list of what is still needed. A value put under the name of an older one
    replaces it from there on.
    """

    def __init__(self, m: Module, valid, **values):
        self._m = m
        self._delays = m.submodules.delays = Delays()
        self._values: dict[str, object] = {}
        self.cycles = 0  # registers passed so far: the latency
        self.valid = valid
        self.put(**values)

    def put(self, **values) -> None:
        """Add or replace values in the present stage."""
        self._values.update({name: _Known(self, value, name) for name, value in values.items()})

    def step(self) -> None:
        """On to the next stage, one register later."""
        self.cycles += 1
        valid = Signal(name=f"valid_{self.cycles}")
        self._m.d.sync += valid.eq(self.valid)
        self.valid = valid

    def __getattr__(self, name: str):
        try:
            return self.__dict__["_values"][name].now()
        except KeyError:
            raise AttributeError(f"the pipeline carries no {name!r} at this stage") from None


class _Known:
    """A value and the stage from which on it is known."""

    def __init__(self, pipe: Pipe, value, name: str):
        self.pipe, self.since, self.name = pipe, pipe.cycles, name
        if isinstance(value, _Record):
            value = value.shape()(value.as_value())
        self.value = value
        self.fields: dict = {}
        if isinstance(value, data.View) and isinstance(data.Layout.cast(value.shape()), data.StructLayout):
            self.fields = {key: _Known(pipe, value[key], f"{name}_{key}") for key, _ in data.Layout.cast(value.shape())}

    def now(self):
        """The value in the pipeline's present stage; of a record, something that has its fields."""
        if self.fields:
            return _Record(self)
        return self.pipe._delays.at(self.value, self.since, self.pipe.cycles, self.name)


class _Record(ValueCastable):
    """A record in the stage in which it was asked for; only fields that are read are carried there."""

    def __init__(self, known: _Known):
        self._known = known

    def __getattr__(self, name: str):
        fields = self.__dict__["_known"].fields
        if name not in fields:
            raise AttributeError(f"{self._known.name} has no field {name!r}")
        return fields[name].now()

    def shape(self):
        return self._known.value.shape()

    def as_value(self):
        return Cat(field.now() for field in self._known.fields.values())
