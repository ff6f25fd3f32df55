"""A stand-in for the receive path: every packet is handed up as it came. The harness is tested with it."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.rx.layouts import HANDLE_BITS, Delivery, place_beat
from hdl.rx.rows import RX_TABLE_WRITE
from hdl.stream.beat import wire_beat
from hdl.table.writer import table_port

# Registers
DELIVERY_XOR = 0  # 0 to 15: what a delivery differs in from the plain one
PLACE_XOR = 16  # 16 and 17: what the second beat's placement differs in, without the data
STOP = 18  # not 0: takes no more beats
HOLD = 19  # ... hands up only on `flush`, or when `idle` ticks of 256 cycles are over
GARBLE_PLACE = 20  # ... changes placements while they wait
GARBLE_DELIVERY = 21
SPLIT = 22  # ... makes every beat a placement of its own
CUT = 23  # ... ends no placement
INPUTS = 24  # reads `idle` and, above it, `timeout`


class HandUp(wiring.Component):
    """Packets off the wire into host buffers, one at a time. The ports are those of `RxPath`.

    ::

        i ── place                  one beat a cycle, in the same cycle
             └── delivery           once its last beat is placed; nothing is taken meanwhile

    A table write sets the register of its row (0 to 31, 32 bits); `counter` reads one.
    """

    def __init__(self, config: NicConfig):
        self.width = config.width
        super().__init__(
            {
                "i": In(stream.Signature(wire_beat(config.width))),
                "place": Out(stream.Signature(place_beat(config.width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "table": In(table_port(RX_TABLE_WRITE)),
                "counter": In(wiring.Signature({"select": Out(7), "value": In(32)})),
                "idle": In(16),
                "timeout": In(16),
                "flush": In(1),
                "held": Out(32),
                "open": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registers = Array(Signal(32, name=f"register_{n}") for n in range(32))
        m.d.comb += self.table.ready.eq(1)
        with m.If(self.table.valid):
            m.d.sync += registers[self.table.row[:5]].eq(self.table.data)
        select = Signal(5)
        m.d.sync += [
            select.eq(self.counter.select),
            self.counter.value.eq(Mux(select == INPUTS, Cat(self.idle, self.timeout), registers[select])),
        ]

        handle, claimed = Signal(HANDLE_BITS), Signal()
        m.d.comb += self.buffer.ready.eq(~claimed)
        with m.If(self.buffer.valid & self.buffer.ready):
            m.d.sync += [handle.eq(self.buffer.payload), claimed.eq(1)]

        # -- place
        whole = Signal()  # the packet is placed, and not yet handed up
        length = Signal(17)
        row, stalls = Signal(16), Signal(8)
        beat = self.i.p
        placement = Signal(place_beat(self.width))
        second = row == 1
        changes = Cat(registers[PLACE_XOR], registers[PLACE_XOR + 1])
        m.d.comb += [
            self.place.valid.eq(self.i.valid & claimed & ~whole & (registers[STOP] == 0)),
            self.i.ready.eq(self.place.valid & self.place.ready),
            placement.data.eq(beat.data),
            placement.bytes.eq(beat.bytes),
            placement.last.eq((beat.last | (registers[SPLIT] != 0)) & (registers[CUT] == 0)),
            placement.handle.eq(handle),
            placement.offset.eq(length),
            self.place.payload.eq(
                placement.as_value()
                ^ (Mux(second, changes, 0) << 8 * self.width)
                ^ Mux(registers[GARBLE_PLACE] != 0, stalls, 0)
            ),
        ]
        m.d.sync += stalls.eq(
            stalls + ((self.place.valid & ~self.place.ready) | (self.delivery.valid & ~self.delivery.ready))
        )
        with m.If(self.i.ready):
            m.d.sync += [length.eq(length + beat.bytes), row.eq(row + 1), whole.eq(beat.last)]

        # -- hand up
        waited = Signal(24)
        record = Signal(Delivery)
        m.d.comb += [
            self.delivery.valid.eq(whole & ((registers[HOLD] == 0) | self.flush | (waited[8:] >= self.idle))),
            record.claimed.eq(1),
            record.handle.eq(handle),
            record.length.eq(length),
            record.packets.eq(1),
            self.delivery.payload.eq(
                record.as_value()
                ^ Cat(registers[DELIVERY_XOR : DELIVERY_XOR + 16])
                ^ Mux(registers[GARBLE_DELIVERY] != 0, stalls, 0)
            ),
            self.held.eq(whole),
            self.open.eq(whole),
        ]
        m.d.sync += waited.eq(Mux(whole, waited + 1, 0))
        with m.If(self.delivery.valid & self.delivery.ready):
            m.d.sync += [whole.eq(0), claimed.eq(0), length.eq(0), row.eq(0)]
        return m
