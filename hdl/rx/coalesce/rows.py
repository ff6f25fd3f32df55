"""Header rows: kept until their packet comes, then compared with those of the flow's latest packet."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.bits import equal
from hdl.rx.layouts import MERGED_BYTES
from hdl.stream.beat import delayed

RING_ROWS = 512


class HeaderRows(wiring.Component):
    """Compare a packet's masked headers with those of the packet before it in its slot, and put them in their place.

    ::

        row ──> [ ring ] ──┬──────────────────── compare ─┬─ differs
                           └─> [ slot x row ] ───────┘    │ one row a cycle, read and replaced in one pass
        start, count, slot ─ walk ──────┘                 └ over the packet's rows

    Writing: `row_first` puts its row where the packet's rows begin, whatever it gave before; `row_commit` (not before
    the packet's last row) ends the packet, of which the first `row_count` rows stay. `space` (a register): at least
    `margin` rows are free.

    Reading: `start` (at least max(1, the previous one's `count`) cycles after the one before) with `count` and, until
    the next one, `slot` and `store`: a packet's rows are taken, and with `store` compared and kept.
    `differs` is known `LATENCY` cycles after the walk's last row, which is row n in cycle n after `start`, and stays
    until then for the following walk. Without `store` it says nothing.

    Parameters
    ----------
    width : bytes of a row
    slots : a power of two
    margin : rows that must be free for `space`
    late : stored rows are written a cycle behind their reading, else in the same
    """

    LATENCY = 7

    def __init__(self, width: int, *, slots: int, margin: int, late: bool):
        self.width, self.slots, self.margin, self.late = width, slots, margin, late
        self.rows = MERGED_BYTES // width
        super().__init__(
            {
                "row_valid": In(1),
                "row": In(8 * width),
                "row_first": In(1),
                "row_commit": In(1),
                "row_count": In(5),
                "space": Out(1),
                "start": In(1),
                "count": In(5),
                "slot": In(range(slots)),
                "store": In(1),
                "differs": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, row_bits = 8 * self.width, exact_log2(self.rows)
        place = range(RING_ROWS)

        # -- into the ring
        m.submodules.ring = ring = memory.Memory(
            shape=bits,
            depth=RING_ROWS,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a row is read long after it was written
        )
        ring_write, ring_read = ring.write_port(), ring.read_port()
        begin, at, following = Signal(place), Signal(place), Signal(place)  # this packet's first row, the next one
        m.d.comb += following.eq(Mux(self.row_first, begin, at))
        with m.If(self.row_valid):
            m.d.sync += at.eq(following + 1)
        with m.If(self.row_commit):
            m.d.sync += [begin.eq(begin + self.row_count), at.eq(begin + self.row_count)]
        m.d.sync += [
            ring_write.en.eq(self.row_valid),
            ring_write.addr.eq(following),
            ring_write.data.eq(self.row),
        ]

        # -- walk over a packet's rows
        number, more = Signal(row_bits), Signal()  # the row that is taken, and whether one is
        following_number, following_more = Signal(row_bits), Signal()
        m.d.comb += [
            number.eq(Mux(self.start, 0, following_number)),
            more.eq(Mux(self.start, self.count != 0, following_more)),
        ]
        m.d.sync += [following_number.eq(number + 1), following_more.eq(more & (number + 1 != self.count))]
        head = Signal(place)
        with m.If(more):
            m.d.sync += head.eq(head + 1)
        used = Signal(place)
        m.d.sync += [used.eq(at - head), self.space.eq(used <= RING_ROWS - self.margin)]

        address = Signal(place, reset_less=True)
        new = Signal(bits, reset_less=True)
        m.d.sync += [address.eq(head), new.eq(ring_read.data)]
        m.d.comb += ring_read.addr.eq(address)

        # -- the stored ones, when the row has come out of the ring
        m.submodules.stored = stored = memory.Memory(
            shape=bits,
            depth=self.slots * self.rows,
            init=[],
            # written a cycle later, a row is never read in the cycle that writes it; else its old content is read
            attrs={"ram_style": "block"} | ({"no_rw_check": 1} if self.late else {}),
        )
        write, read = stored.write_port(), stored.read_port()
        here = Cat(delayed(m, number, 3, name="number"), delayed(m, self.slot, 3, name="slot"))
        compares = delayed(m, more & self.store, 3, name="compares")
        m.d.comb += read.addr.eq(here)
        if self.late:
            m.d.sync += [write.en.eq(compares), write.addr.eq(here), write.data.eq(new)]
        else:
            m.d.comb += [write.en.eq(compares), write.addr.eq(here), write.data.eq(new)]

        old = Signal(bits, reset_less=True)
        m.d.sync += old.eq(read.data)
        compared = delayed(m, new, 2, name="new")
        part = Signal(-(-bits // 16), reset_less=True)
        m.d.sync += part.eq(Cat(~equal(m, old[i : i + 16], compared[i : i + 16]) for i in range(0, bits, 16)))
        first = delayed(m, number == 0, 6, name="first")
        with m.If(delayed(m, compares, 3, name="compared")):
            m.d.sync += self.differs.eq(part.any() | (self.differs & ~first))
        return m
