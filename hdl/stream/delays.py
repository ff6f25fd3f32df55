"""Values of a pipeline as they were some cycles ago, in registers or in block RAM."""

from amaranth import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import memory

RAM_CYCLES = 7  # from here on a delay goes through block RAM
FEW_BITS = 18  # fewer are not worth one


class Delays(Elaboratable):
    """Every delay of one pipeline; a value is delayed only as far as it is read.

    ::

        value ─ register ─ register ─ at(3)                      a short delay
        value ─ register ─┐             ┌─ register ─ at(13)     a long one: written round and round a block RAM,
        value ─ register ─┴─ block RAM ─┴─ register ─ at(13)     together with all that wait as long

    It is elaborated after the pipeline that it belongs to, and so knows all that is ever read. Delayed values have no
    reset.
    """

    def __init__(self) -> None:
        self._chains: dict[int, tuple[Value, int, str, dict[int, Signal]]] = {}

    def at(self, value, since: int, stage: int, name: str):
        """`value`, which belongs to stage `since`, in a later stage."""
        if stage == since:
            return value
        *_, reads = self._chains.setdefault(id(value), (value, since, name, {}))
        if stage not in reads:
            reads[stage] = Signal(Value.cast(value).shape(), name=f"{name}_{stage}", reset_less=True)
        return reads[stage]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting: dict[int, list[tuple[Value, Signal]]] = {}  # by cycles
        for value, since, _, reads in self._chains.values():
            source = Value.cast(value)
            for stage, target in sorted(reads.items()):
                waiting.setdefault(stage - since, []).append((source, target))
                source, since = target, stage
        for cycles in sorted(waiting, reverse=True):
            pairs = waiting[cycles]
            if cycles >= RAM_CYCLES and sum(len(target) for _, target in pairs) >= FEW_BITS:
                self._in_ram(m, cycles, pairs)
            elif cycles == 1:
                m.d.sync += [target.eq(source) for source, target in pairs]
            else:  # one register here, the rest with those that wait a cycle less
                for source, target in pairs:
                    earlier = Signal(source.shape(), name=f"{target.name}_after_{cycles - 1}", reset_less=True)
                    m.d.sync += target.eq(earlier)
                    self._shorter(m, cycles - 1, source, earlier, waiting)
        return m

    def _shorter(self, m: Module, cycles: int, source: Value, target: Signal, waiting) -> None:
        if cycles >= RAM_CYCLES and cycles in waiting:
            waiting[cycles].append((source, target))
            return
        for left in range(cycles - 1, 0, -1):
            earlier = Signal(source.shape(), name=f"{target.name}_{left}", reset_less=True)
            m.d.sync += target.eq(earlier)
            target = earlier
            if left >= RAM_CYCLES and left in waiting:
                waiting[left].append((source, target))
                return
        m.d.sync += target.eq(source)

    def _in_ram(self, m: Module, cycles: int, pairs: list[tuple[Value, Signal]]) -> None:
        """The registers in front and behind, which may be far away, take a cycle each, and the RAM's own read one."""
        depth = 1 << cycles.bit_length()
        row = memory.Memory(
            shape=sum(len(target) for _, target in pairs),
            depth=depth,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # the row that is written is never the one that is read
        )
        m.submodules[f"ram_{cycles}"] = row
        write_port, read_port = row.write_port(), row.read_port()
        to, of = Signal(range(depth)), Signal(range(depth), init=depth - (cycles - 3))
        written = Signal(sum(len(target) for _, target in pairs), reset_less=True)
        m.d.sync += [to.eq(to + 1), of.eq(of + 1), written.eq(Cat(source for source, _ in pairs))]
        m.d.comb += [
            write_port.en.eq(1),
            write_port.addr.eq(to),
            write_port.data.eq(written),
            read_port.addr.eq(of),
        ]
        at = 0
        for _, target in pairs:
            m.d.sync += target.eq(read_port.data[at : at + len(target)])
            at += len(target)
