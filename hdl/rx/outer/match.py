"""Which of a few values is this one?"""

from amaranth import Cat, Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.rows import Fields
from hdl.registers.rx_tables import MATCH_ROWS
from hdl.table.rows import row_layout


def match_write(fields: Fields) -> data.StructLayout:
    """A row on its way into the table."""
    return data.StructLayout({"valid": 1, "row": (MATCH_ROWS - 1).bit_length(), "entry": row_layout(fields)})


class Match(wiring.Component):
    """Look a value up among a few, four bits at a time, each in a distributed RAM of its own.

    ::

        value      │ 0100 │ 0001 │          which entries have these four bits there
                      RAM    RAM
                       11  &  01  ──> hits  = 01: it is entry 0

    A comparator for each entry would take twice the logic, and a register for each of their bits.

    Ports: `write` (a row, see `match_fields`); `value`; `hits`, in the same cycle: for each four bits, a bit for each
    entry; an entry has been hit if all of its bits are set.

    Parameters
    ----------
    fields : of a row
    lookups : values that are looked up at the same time
    """

    def __init__(self, fields: Fields, *, lookups: int = 1):
        self.fields, self.lookups = fields, lookups
        super().__init__(
            {
                "write": In(match_write(fields)),
                "value": In(4 * len(fields)).array(lookups),
                "hits": Out(sum(fields.values())).array(lookups),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for number in range(self.lookups):
            hits = []
            for at, (name, entries) in enumerate(self.fields.items()):
                ram = memory.Memory(shape=entries, depth=MATCH_ROWS, init=[], attrs={"ram_style": "distributed"})
                m.submodules[f"ram_{number}_{name}"] = ram
                write, read = ram.write_port(), ram.read_port(domain="comb")
                m.d.comb += [
                    write.en.eq(self.write.valid),
                    write.addr.eq(self.write.row),
                    write.data.eq(self.write.entry[name]),
                    read.addr.eq(self.value[number][4 * at : 4 * at + 4]),
                ]
                hits.append(read.data)
            m.d.comb += self.hits[number].eq(Cat(hits))
        return m
