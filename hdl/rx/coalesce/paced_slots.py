"""Which slot a flow has, where lookups are seven cycles apart."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.rx.coalesce.slots import TAG_BITS
from hdl.rx.layouts import VNET_BITS
from hdl.rx.slots import SecondChance
from hdl.stream.beat import delayed

KEPT_BITS = 18  # of a tag: of 64 flows that are known, one in 4,000 shares its tag with another one


class PacedSlots(wiring.Component):
    """`Slots`, in a few cycles a lookup instead of all at once.

    ::

        valid ─│─ row 0 ─ row 1 ─ row 2 ─ row 3 ─ first ─│─ found, slot
                  └─ tags, kinds, marks of 16 slots each

    Ports: as those of `Slots`, but `valid` comes at most every seventh cycle.

    Parameters
    ----------
    slots : a power of two, 4 to 64
    """

    latency = 7

    def __init__(self, *, slots: int):
        self.slots = slots
        super().__init__(
            {
                "ready": Out(1),
                "valid": In(1),
                "tag": In(TAG_BITS),
                "kind": In(VNET_BITS),
                "insert": In(1),
                "quota": In(range(slots + 1), init=slots),
                "found": Out(1),
                "slot": Out(range(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.finder = finder = SecondChance(slots=self.slots, kind_bits=VNET_BITS, tag_bits=KEPT_BITS)
        insert, start = Signal(), Signal()
        with m.If(self.valid):
            m.d.sync += [
                finder.tag.eq(self.tag[:KEPT_BITS] ^ self.tag[KEPT_BITS:]),
                finder.kind.eq(self.kind),
                insert.eq(self.insert),
            ]
        m.d.sync += start.eq(self.valid)
        done = delayed(m, start, self.latency - 1, name="done")
        m.d.comb += [
            self.ready.eq(finder.ready),
            finder.start.eq(start),
            finder.quota.eq(self.quota),
            finder.strict.eq(1),
            finder.mark.eq(done & finder.found),
            finder.insert.eq(done & ~finder.found & insert),
            self.found.eq(finder.found),
            self.slot.eq(finder.number),
        ]
        return m
