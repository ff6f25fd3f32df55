"""What happened to the frames: one bank of counters."""

from amaranth import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.counters import COUNTERS, DropReason, TxCounter

HALVES = ("low", "high")


class Counters(wiring.Component):
    """A 32-bit counter for each drop reason and each `TxCounter`; they wrap.

    ::

        reason ── low halves ── carry ── high halves      one frame has one reason: all its counters share two RAMs
        others ── a counter each

    Ports: `reason`: counts that drop reason in this cycle, or nothing (NONE); `events`: bit n counts `TxCounter` n;
    `select`, `value`: the counter `select`, three cycles later. Throughput: one of each a cycle. Until its first count,
    a reason's counter is 0 whatever lies in the RAM, which a reset does not clear.
    """

    def __init__(self):
        super().__init__(
            {"reason": In(DropReason), "events": In(COUNTERS), "select": In(range(COUNTERS)), "value": Out(32)}
        )

    def elaborate(self, platform):
        m = Module()
        counted = [Signal.like(self.reason, name=f"reason_{half}") for half in HALVES]
        select = [Signal.like(self.select, name=f"select_{half}") for half in HALVES]
        m.d.sync += [
            counted[0].eq(self.reason),
            counted[1].eq(counted[0]),
            select[0].eq(self.select),
            select[1].eq(select[0]),  # the high half is looked at when the low one's carry is in it
        ]
        shown, add = [], counted[0] != DropReason.NONE
        for half, reason, at in zip(HALVES, counted, select, strict=True):
            m.submodules[half] = ram = memory.Memory(shape=16, depth=16, init=[], attrs={"ram_style": "distributed"})
            write, read, look = ram.write_port(), ram.read_port(domain="comb"), ram.read_port(domain="comb")
            known = Signal(16, name=f"known_{half}")  # counted since reset
            more, carry = Signal(17, name=f"more_{half}"), Signal(name=f"carry_{half}")
            m.d.comb += [
                read.addr.eq(reason),
                look.addr.eq(at),
                more.eq(gate(known.bit_select(reason, 1), read.data) + add),
                write.en.eq(1),
                write.addr.eq(reason),
                write.data.eq(more),
            ]
            m.d.sync += [known.bit_select(reason, 1).eq(1), carry.eq(more[16])]
            shown.append(gate(known.bit_select(at, 1), look.data))
            add = carry
        low = Signal(16)
        m.d.sync += [low.eq(shown[0]), self.value.eq(Cat(low, shown[1]))]

        for counter in TxCounter:
            name = counter.name.lower()
            count, event = Signal(32, name=name), Signal(name=f"event_{name}")
            m.d.sync += [event.eq(self.events[counter]), count.eq(count + event)]
            with m.If(select[1] == counter):
                m.d.sync += self.value.eq(count)
        return m
