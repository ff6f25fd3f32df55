"""One table in block RAM."""

from amaranth import Module
from amaranth.lib import memory

from hdl.table.rows import TABLE_MEMORY


def table_memory(m: Module, name: str, *, write, table: int, shape, rows: int, address):
    """A memory that holds what `write` (see `table_write`) brings for `table`; gives the row at `address`.

    A read takes two steps: the memory's, and a register behind it, which is the caller's.
    """
    m.submodules[name] = mem = memory.Memory(shape=shape, depth=rows, init=[], attrs=TABLE_MEMORY)
    write_port, read_port = mem.write_port(), mem.read_port()
    m.d.comb += [
        write_port.addr.eq(write.row),
        write_port.data.eq(write.data),
        write_port.en.eq(write.valid & (write.table == table)),
        read_port.addr.eq(address),
    ]
    return read_port.data
