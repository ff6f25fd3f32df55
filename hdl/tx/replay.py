"""What the engines that replay memory rows as parts of a packet have in common."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

# Beats that an engine may have promised: more than the latency of its pipeline and of the credits' way back.
FIFO_DEPTH = {8: 16, 16: 32, 32: 32, 64: 32}


class Space(wiring.Component):
    """Rows of a ring that are in use.

    Ports: `write` appends a row at `row`; `release` frees the rows before `release_row` (which must lie at or behind
    the last one); `space`, a register: at least `margin` rows are free, counting what was written or released up to
    two cycles ago.

    Parameters
    ----------
    rows : of the ring, a power of two
    margin : rows that must be free for `space`
    """

    def __init__(self, rows: int, margin: int):
        self.rows, self.margin = rows, margin
        super().__init__(
            {
                "write": In(1),
                "row": Out(range(rows)),
                "release": In(1),
                "release_row": In(16),
                "space": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        begin, end = Signal(range(2 * self.rows)), Signal(range(2 * self.rows))
        used = Signal(range(2 * self.rows))  # modulo twice the rows, so that a full ring is not an empty one
        with m.If(self.write):
            m.d.sync += end.eq(end + 1)
        with m.If(self.release):
            m.d.sync += begin.eq(self.release_row)
        m.d.sync += [used.eq(end - begin), self.space.eq(used <= self.rows - self.margin)]
        m.d.comb += self.row.eq(end)
        return m
