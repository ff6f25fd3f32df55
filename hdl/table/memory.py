"""One table in block RAM."""

from amaranth import Module, Signal
from amaranth.lib import memory

from hdl.table.rows import TABLE_MEMORY


def when_quiet(m: Module, write, reading):
    """`write`, or if somebody is `reading` then, as soon as nobody is.

    For memories that are read without regard to writes; the row that is to be written stands still meanwhile.
    """
    waits, now = Signal(name="waits"), Signal(name="now")
    m.d.comb += now.eq((write | waits) & ~reading)
    m.d.sync += waits.eq((write | waits) & reading)
    return now


def table_memory(m: Module, name: str, *, write, table: int, shape, rows: int, address, reading=None):
    """A memory that holds what `write` (see `table_write`) brings for `table`; gives the row at `address`.

    A read takes two steps: the memory's, and a register behind it, which is the caller's. `reading`: the row at
    `address` is wanted; without it nobody reads in the cycle of a write.
    """
    mine = write.valid & (write.table == table)
    m.submodules[name] = mem = memory.Memory(shape=shape, depth=rows, init=[], attrs=TABLE_MEMORY)
    write_port, read_port = mem.write_port(), mem.read_port()
    m.d.comb += [
        write_port.addr.eq(write.row),
        write_port.data.eq(write.data),
        write_port.en.eq(
            mine if reading is None else when_quiet(m, mine, reading & (address == write.row[: len(address)]))
        ),
        read_port.addr.eq(address),
    ]
    return read_port.data
