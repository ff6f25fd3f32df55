"""A stand-in for the transmit side: what goes in comes out. The harness is tested with it."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.local.path import local_place_beat
from hdl.registers.tables import VPORT_BITS
from hdl.rx.layouts import HANDLE_BITS, Delivery
from hdl.stream.beat import FRAME_LENGTH_BITS, host_beat, wire_beat
from hdl.table.rows import table_write
from hdl.table.writer import table_port
from hdl.tx.schedule import Descriptor

STOP = 13  # this register is not 0: takes no more beats
CUT = 14  # ... ends no packet
GARBLE = 15  # ... changes the output while it waits


class Loopback(wiring.Component):
    """Frames in, the same bytes out; frames of no bytes are lost. The ports are those of `TxSide`.

    Everybody's turn comes in the order of the descriptors.

    A table write sets the register of its row (0 to 15, 32 bits); `counter` reads one. Latency: 2 cycles.
    """

    def __init__(self, config: NicConfig):
        self.width = config.width
        super().__init__(
            {
                "i": In(stream.Signature(host_beat(config.width))),
                "o": Out(stream.Signature(wire_beat(config.width))),
                "table": In(table_port(table_write(config.width))),
                "counter": In(wiring.Signature({"select": Out(4), "value": In(32)})),
                "descriptor": In(stream.Signature(Descriptor)),
                "turn": Out(stream.Signature(Descriptor)),
                "freed": Out(1),
                "freed_vport": Out(VPORT_BITS),
                "quantum": In(FRAME_LENGTH_BITS),
                "place": Out(stream.Signature(local_place_beat(config.width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registers = Array(Signal(32, name=f"register_{n}") for n in range(16))
        wiring.connect(m, wiring.flipped(self.descriptor), wiring.flipped(self.turn))
        m.d.comb += [
            self.freed.eq(self.turn.valid & self.turn.ready),
            self.freed_vport.eq(self.turn.p.meta.vport),
            self.table.ready.eq(1),
        ]
        with m.If(self.table.valid):
            m.d.sync += registers[self.table.row].eq(self.table.data)
        select = Signal(4)
        m.d.sync += [select.eq(self.counter.select), self.counter.value.eq(registers[select])]

        layout = wire_beat(self.width)
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=layout.size, depth=64)
        beat = data.View(layout, fifo.w_data)
        first = Signal(init=1)
        later = Signal(FRAME_LENGTH_BITS)
        left = Mux(first, self.i.payload.meta.length, later)  # bytes of the frame from this beat on
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(fifo.w_rdy & (registers[STOP] == 0)),
            fifo.w_en.eq(taken & (left != 0)),
            beat.data.eq(self.i.payload.data),
            beat.last.eq(self.i.payload.last & (registers[CUT] == 0)),
            beat.bytes.eq(Mux(self.i.payload.last, left, self.width)),
        ]
        with m.If(taken):
            m.d.sync += [first.eq(self.i.payload.last), later.eq(left - self.width)]

        stalls = Signal(8)
        m.d.sync += stalls.eq(stalls + (self.o.valid & ~self.o.ready))
        m.d.comb += [
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.valid & self.o.ready),
            self.o.payload.eq(fifo.r_data ^ Mux(registers[GARBLE] != 0, stalls, 0)),
        ]
        return m
