"""Values of a pipeline as they were some cycles ago, in registers or in RAM."""

from amaranth import Cat, Elaboratable, Module, Signal, Value
from amaranth.lib import memory

SMALL_CYCLES, SMALL_BITS = 6, 6  # from here on a delay goes through distributed RAM
BLOCK_CYCLES, BLOCK_BITS = 18, 18  # and from here on through block RAM


class Delays(Elaboratable):
    """Every delay of one pipeline; a value is delayed only as far as it is read.

    ::

        value ─ register ─ register ─ at(3)                      a short delay
        value ─ register ─┐             ┌─ register ─ at(13)     a longer one: written round and round a RAM,
        value ─ register ─┴──── RAM ────┴─ register ─ at(13)     together with all that wait as long

    Up to 17 cycles the RAM is a distributed one: it lies where its pipeline lies, as a block RAM cannot.

    It is elaborated after the pipeline that it belongs to, and so knows all that is ever read. Delayed values have no
    reset.

    Parameters
    ----------
    small_cycles : from how many on a delay goes through distributed RAM
    """

    def __init__(self, small_cycles: int = SMALL_CYCLES) -> None:
        self.small_cycles = small_cycles
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
        for cycles in range(max(waiting, default=0), 1, -1):
            pairs = waiting.get(cycles, [])
            bits = sum(len(target) for _, target in pairs)
            if cycles >= BLOCK_CYCLES and bits >= BLOCK_BITS:
                self._in_ram(m, cycles, pairs, block=True)
            elif self.small_cycles <= cycles < BLOCK_CYCLES and bits >= SMALL_BITS:
                self._in_ram(m, cycles, pairs, block=False)
            else:  # one register here, the rest with those that wait a cycle less
                for source, target in pairs:
                    earlier = Signal(source.shape(), name=f"{target.name}_less_{cycles - 1}", reset_less=True)
                    m.d.sync += target.eq(earlier)
                    waiting.setdefault(cycles - 1, []).append((source, earlier))
        m.d.sync += [target.eq(source) for source, target in waiting.get(1, [])]
        return m

    def _in_ram(self, m: Module, cycles: int, pairs: list[tuple[Value, Signal]], *, block: bool) -> None:
        """The registers in front and behind take a cycle each; a block RAM's own read takes one as well."""
        row, rows = sum(len(target) for _, target in pairs), cycles - 3 if block else cycles - 2
        depth = 1 << rows.bit_length()
        # the row that is written is never the one that is read
        attributes = {"ram_style": "block", "no_rw_check": 1} if block else {"ram_style": "distributed"}
        m.submodules[f"ram_{cycles}"] = ram = memory.Memory(shape=row, depth=depth, init=[], attrs=attributes)
        write_port, read_port = ram.write_port(), ram.read_port(domain="sync" if block else "comb")
        to, of = Signal(range(depth)), Signal(range(depth), init=depth - rows)
        written = Signal(row, reset_less=True)
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
