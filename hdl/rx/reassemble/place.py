"""Where a chunk's bytes go."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.rx.layouts import HANDLE_BITS, LENGTH_BITS, ROW_BITS, PlaceRecord
from hdl.stream.pipe import Pipe

STT_HEADER = 18


class Placing(data.Struct):
    """A chunk, decided on."""

    first: 1
    last: 1
    row: ROW_BITS
    lane: 6
    length: LENGTH_BITS
    release_row: ROW_BITS
    start: 16  # with `first`: the fragment's offset in the STT frame
    take: 1
    handle: HANDLE_BITS  # with `first`


class ChunkPlace(wiring.Component):
    """A chunk becomes a record for the engine that copies.

    ::

        ring      │ h h h h │ h h h h │ ... │ h h i i │ i i i i │    the 18 bytes of the STT header are left out
        buffer    ........................... │ i i i i │ i i ..     the frame begins at byte 0

    Ports: `valid`, `i`; `place_valid`, `place`. Latency: `latency` cycles. Throughput: one a cycle. No back-pressure.
    """

    latency = 2

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {"valid": In(1), "i": In(Placing), "place_valid": Out(1), "place": Out(PlaceRecord)},
        )

    def elaborate(self, platform):
        m = Module()
        lane_bits = exact_log2(self.width)
        pipe = Pipe(m, self.valid, i=self.i)
        head = pipe.i.first & (pipe.i.start == 0)  # the frame's header stands in front
        skipped = Const(STT_HEADER, 5)
        behind = pipe.i.lane[:lane_bits] + Mux(head, skipped, 0)
        pipe.put(
            row=(pipe.i.row + behind[lane_bits:])[:ROW_BITS],
            lane=behind[:lane_bits],
            # (a packet without a whole header is bad: it will be discarded, however long this says it is)
            length=(pipe.i.length - Mux(head, skipped, 0))[:LENGTH_BITS],
            begin=(pipe.i.start - Mux(pipe.i.start == 0, 0, skipped))[:16],
        )
        pipe.step()

        following, held = Signal(16), Signal(HANDLE_BITS)
        offset, handle = Signal(16), Signal(HANDLE_BITS)
        m.d.comb += [
            offset.eq(Mux(pipe.i.first, pipe.begin, following)),
            handle.eq(Mux(pipe.i.first, pipe.i.handle, held)),
        ]
        with m.If(pipe.valid):
            m.d.sync += [following.eq(offset + pipe.length), held.eq(handle)]
        pipe.put(offset=offset, handle=handle)
        pipe.step()
        assert pipe.cycles == self.latency

        place = self.place
        m.d.comb += [
            self.place_valid.eq(pipe.valid),
            place.last.eq(pipe.i.last),
            place.row.eq(pipe.row),
            place.lane.eq(pipe.lane),
            place.length.eq(pipe.length),
            place.discard.eq(~pipe.i.take),
            place.release_row.eq(pipe.i.release_row),
            place.handle.eq(pipe.handle),
            place.offset.eq(pipe.offset),
        ]
        return m
