"""A ring of rows in memory: written in order, read anywhere, given back in order."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

# Beats that an engine may have promised: more than the latency of its pipeline and of the credits' way back.
FIFO_DEPTH = {8: 16, 16: 32, 32: 32, 64: 32}


class Ring(wiring.Component):
    """Rows in the order in which they were written, read at any place until they are given back.

    ::

        write/i ──> [ row row row row . . . . ] ──> data (the row at `address`, a cycle later)
                      └ release_row    └ `space` left

    Ports: `write`/`i` append a row, the first being row 0; `release` frees the rows before `release_row` (which must
    lie at or behind the last one freed); `space`, a register: at least `margin` rows are free, counting what was
    written up to three cycles ago; `address`, `data`.

    Parameters
    ----------
    shape : of a row
    rows : a power of two
    margin : rows that must be free for `space`
    """

    def __init__(self, *, shape, rows: int, margin: int):
        if not 0 < margin < rows:
            raise ValueError(f"margin is {margin}; it must be between 1 and rows - 1 = {rows - 1}")
        self.shape, self.rows, self.margin = shape, rows, margin
        super().__init__(
            {
                "write": In(1),
                "i": In(shape),
                "release": In(1),
                "release_row": In(16),
                "space": Out(1),
                "address": In(range(rows)),
                "data": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=self.shape,
            depth=self.rows,
            init=[],
            attrs={"no_rw_check": 1},  # what is read of a row in the cycle that writes it is never used: no bypass
        )
        write_port, read_port = ram.write_port(), ram.read_port()
        begin, end = Signal(range(2 * self.rows)), Signal(range(2 * self.rows))
        used = Signal(range(2 * self.rows))  # modulo twice the rows, so that a full ring is not an empty one
        with m.If(self.write):
            m.d.sync += end.eq(end + 1)
        with m.If(self.release):
            m.d.sync += begin.eq(self.release_row)
        m.d.sync += [used.eq(end - begin), self.space.eq(used <= self.rows - self.margin)]
        m.d.comb += [
            write_port.en.eq(self.write),
            write_port.addr.eq(end),
            write_port.data.eq(self.i),
            read_port.addr.eq(self.address),
            self.data.eq(read_port.data),
        ]
        return m
