"""Distributed RAM has no reset."""

from amaranth import Module, Mux, Signal


class Clean:
    """Rows that are emptied one a cycle after a reset; until `ready` nothing may use them.

    Parameters
    ----------
    rows : of the deepest RAM, a power of two
    """

    def __init__(self, m: Module, rows: int):
        self.row = Signal(range(max(rows, 2)), name="clean_row")
        self.ready = Signal(name="clean")
        m.d.sync += self.row.eq(self.row + ~self.ready)
        with m.If(self.row == rows - 1):
            m.d.sync += self.ready.eq(1)

    def write(self, m: Module, port, en, addr, data) -> None:
        """What the port does once all is clean. What is written until then is 0."""
        every = (1 << len(port.en)) - 1
        m.d.comb += [
            port.en.eq(Mux(self.ready, en, every)),
            port.addr.eq(Mux(self.ready, addr, self.row)),
            port.data.eq(Mux(self.ready, data, 0)),
        ]
