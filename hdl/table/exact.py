"""The exact-match table: a cuckoo hash in block RAM, filled by the driver."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.exact import ExactTable
from hdl.stream.pipe import Pipe
from hdl.table.memory import when_quiet
from hdl.table.rows import TABLE_MEMORY, row_layout

PROBES = {8: 4, 16: 2, 32: 2, 64: 1}
"""Ways that are read one after the other, by bytes a beat: keys come no faster (see `PACE`)."""


class ExactMatch(wiring.Component):
    """A key to a value.

    ::

        key ─┬─ hash 0 ── way 0 ── = ─┐                   probes = 1
             ├─ hash 1 ── way 1 ── = ─┼─ OR ── hit, value
             ├─ hash 2 ── way 2 ── = ─┤
             └─ hash 3 ── way 3 ── = ─┘

        key ─┬─ hash 0, then 1 ── ways 0, 1 ── = ─┬─ OR ── hit, value      probes = 2
             └─ hash 2, then 3 ── ways 2, 3 ── = ─┘

    A key lies in at most one way, at the row that the way's hash gives. Where keys come some cycles apart, `probes`
    ways share a memory and its comparator, and are read one after the other.

    Ports: `valid`, `key` in; `done`, `hit`, `value` out; `write`, `row` (a place of the table), `entry`, which
    stand still until the row has been written: at once, or when nobody reads it.
    Latency: `latency` cycles. Throughput: one key every `probes` cycles; the user sees to that. No back-pressure.

    Parameters
    ----------
    table : fields, key and hash
    probes : ways that share a memory
    """

    def __init__(self, table: ExactTable, *, probes: int = 1):
        if probes < 1 or table.ways % probes:
            raise ValueError(f"probes is {probes}; it must divide the table's {table.ways} ways")
        self.table, self.probes = table, probes
        self.latency = 5 + probes
        super().__init__(
            {
                "valid": In(1),
                "key": In(row_layout(table.key_fields)),
                "done": Out(1),
                "hit": Out(1),
                "value": Out(row_layout(table.value_fields)),
                "write": In(1),
                "row": In(range(table.places)),
                "entry": In(row_layout(table.fields)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        table, probes = self.table, self.probes
        banks = range(table.ways // probes)
        bank_bits = (probes * table.rows - 1).bit_length()
        key_width = len(self.key.as_value())

        # All rows are known at once; they wait for their turns, and the key until the last one's.
        key, turn = Signal(key_width), Signal(probes)
        m.d.sync += turn.eq(Cat(self.valid, turn)[:probes])
        with m.If(self.valid):
            m.d.sync += key.eq(self.key)
        rows = [Signal(table.row_bits, name=f"row{way}") for way in range(table.ways)]
        for way, row in enumerate(rows):
            hashed = Cat((self.key.as_value() & mask).xor() for mask in table.masks[way])
            m.d.sync += row.eq(hashed if way % probes == probes - 1 else Mux(self.valid, hashed, rows[way + 1]))
        probe = Signal(range(probes))
        if probes > 1:
            m.d.sync += probe.eq(Mux(self.valid, 0, probe + 1))

        pipe = Pipe(m, turn.any(), key=key, first=turn[0], last=turn[-1])
        reads = []
        for bank in banks:
            m.submodules[f"way{bank}"] = mem = memory.Memory(
                shape=self.entry.shape(), depth=probes * table.rows, init=[], attrs=TABLE_MEMORY
            )
            write_port, read_port = mem.write_port(), mem.read_port()
            read = turn.any() & (read_port.addr == self.row[:bank_bits])
            m.d.comb += [
                write_port.addr.eq(self.row[:bank_bits]),
                write_port.data.eq(self.entry),
                write_port.en.eq(when_quiet(m, self.write & (self.row[bank_bits:] == bank), read)),
                read_port.addr.eq(Cat(rows[bank * probes], probe)),
            ]
            reads.append(read_port.data)
        pipe.step()
        pipe.put(**{f"entry{bank}": entry for bank, entry in enumerate(reads)})
        pipe.step()

        # the key is compared in two steps: groups of eight bits, then all groups
        for bank in banks:
            entry = getattr(pipe, f"entry{bank}")
            differ = Cat(getattr(entry, name) for name in table.key_fields) ^ pipe.key
            groups = Cat(~differ[at : min(at + 8, key_width)].any() for at in range(0, key_width, 8))
            pipe.put(**{f"same{bank}": Cat(groups, entry.valid)})
        pipe.step()
        pipe.put(**{f"hit{bank}": getattr(pipe, f"same{bank}").all() for bank in banks})
        pipe.step()
        value = Signal.like(self.value)
        for bank in banks:
            entry = getattr(pipe, f"entry{bank}")
            with m.If(getattr(pipe, f"hit{bank}")):
                m.d.comb += [value[name].eq(getattr(entry, name)) for name in table.value_fields]
        hit = Cat(getattr(pipe, f"hit{bank}") for bank in banks).any()
        m.d.sync += self.done.eq(pipe.valid & pipe.last)
        if probes == 1:
            m.d.sync += [self.hit.eq(hit), self.value.eq(value)]
        else:
            m.d.sync += self.hit.eq(hit | (self.hit & ~pipe.first))
            with m.If(hit):
                m.d.sync += self.value.eq(value)
        assert pipe.cycles + 1 + probes == self.latency
        return m
