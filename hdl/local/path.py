"""Frames from vport to vport: into the other one's memory, and handed up."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.local.facts import Finish, HandOver, Word
from hdl.local.split import Target, local_beat
from hdl.registers.receive import RxReason
from hdl.registers.tables import VPORTS
from hdl.rx.inner.parser import InnerParse
from hdl.rx.layouts import HANDLE_BITS, Delivery, place_beat
from hdl.stream.beat import FRAME_LENGTH_BITS, delayed, host_beat
from hdl.stream.paced_fifo import PACE
from hdl.stream.small_fifo import SmallFifo
from hdl.tx.guard import Guard

LONG_OFFSET_BITS = FRAME_LENGTH_BITS  # a frame of this side may be longer than 64 KB


def local_place_beat(width: int) -> data.StructLayout:
    """`place_beat`, for buffers of the longest frame."""
    return data.StructLayout({**place_beat(width).members, "offset": LONG_OFFSET_BITS})


class Sent(data.Struct):
    """A frame on its way through the parser."""

    length: FRAME_LENGTH_BITS
    gso_size: 16
    error: 1  # the descriptor's length and the data disagree
    target: Target


class Done(data.Struct):
    """A frame whose last byte has come."""

    sent: Sent
    finish: HandOver


class LocalPath(wiring.Component):
    """Hand frames of one vport to another, uncut.

    ::

        i ── guard ─┬─ beats ─────────────────────────────────┬─ place
                    ├─ InnerParse ── facts ─┬─ Finish ── words ┘
                    └─ Sent ────────────────┘      └────────────── delivery

    A frame's bytes leave as they come, into a buffer claimed for it. When its last byte has come the parser knows its
    sums: then its checksums are written, two bytes each, over what the sender left there, and it is handed up. So a
    frame is never held, however long. One whose descriptor lies about its length gives its buffer back, with receive's
    reason for that, OUTER_LENGTH.

    Ports: streams `i` (`local_beat`), `place` (`local_place_beat`), `delivery` (`Delivery`; no patches) and `buffer`
    (handles of empty host buffers); `handed`, `bad`: a frame was delivered, or not. Deliveries leave in the order of
    the frames, each when all placements in front of it have been taken.
    Latency: 7 cycles to the first placement, `InnerParse.latency` + 16 from the last beat to the delivery.
    Throughput: a beat a cycle, and two more a frame; at 8 bytes a beat, less than 48 bytes take about 12 cycles.
    Back-pressure: of `place`, `delivery` and `buffer`, on `i`.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        super().__init__(
            {
                "i": In(stream.Signature(local_beat(width))),
                "place": Out(stream.Signature(local_place_beat(width))),
                "delivery": Out(stream.Signature(Delivery)),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "handed": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, bits = self.width, (self.width - 1).bit_length()
        m.submodules.guard = guard = Guard(width=width)
        m.submodules.inner = inner = InnerParse(width, length_bits=FRAME_LENGTH_BITS, ip_sum=True)
        m.submodules.finish = finish = Finish()
        beat_layout = data.StructLayout({"data": 8 * width, "bytes": range(width + 1), "last": 1})
        m.submodules.beats = beats = SmallFifo(shape=beat_layout, depth=32, limit=20)
        depth = 64 if width > 8 else 32  # frames of the fewest beats that are in the parser
        m.submodules.targets = targets = SmallFifo(shape=Target, depth=16)  # from the frame's first beat to its last
        m.submodules.sent = sent = SmallFifo(shape=Sent, depth=depth)
        m.submodules.done = done = SmallFifo(shape=Done, depth=depth)
        m.submodules.buffers = buffers = SmallFifo(shape=HANDLE_BITS)
        m.submodules.placed = placed = SmallFifo(shape=HANDLE_BITS, depth=depth)

        # -- in: a frame begins where everything behind has room for it
        first = Signal(init=1)
        go, room = Signal(), Signal()
        few, calm = Signal(), Signal()
        begins = self.i.valid & self.i.ready & first
        m.d.sync += go.eq(beats.room)
        m.d.comb += [
            room.eq(~first | (targets.room & done.room & (calm | ~few))),
            guard.go.eq(go),
            guard.i.valid.eq(self.i.valid & room),
            self.i.ready.eq(guard.i.ready & room),
            *(guard.i.p[name].eq(self.i.p[name]) for name in host_beat(width).members),
            targets.reserve.eq(begins),
            targets.write.eq(begins),
            targets.i.eq(self.i.p.target),
            done.reserve.eq(begins),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += first.eq(self.i.p.last)

        # Last beats keep to the parser's pace: a frame of few beats begins when the one before has left the guard.
        if width == 8:
            assert guard.latency + 2 >= PACE[width]
            length = self.i.p.meta.length
            under = Signal(4)  # frames in the guard
            m.d.sync += under.eq(under + begins - (guard.o_valid & guard.o.last))
            m.d.comb += [few.eq(~(length[6:].any() | length[4:6].all())), calm.eq(under == 0)]  # 48 bytes: 6 beats
        else:
            m.d.comb += calm.eq(1)

        # -- what the guard gives goes three ways
        o, end = guard.o, guard.o_valid & guard.o.last
        tail = o.meta.length[:bits]
        size = Mux(tail.any(), tail, width)
        m.d.comb += [
            beats.reserve.eq(guard.o_valid),
            beats.write.eq(guard.o_valid),
            beats.i.data.eq(o.data),
            beats.i.bytes.eq(Mux(o.last, size, width)),
            beats.i.last.eq(o.last),
            inner.i_valid.eq(guard.o_valid),
            inner.i.data.eq(o.data),
            inner.i.first.eq(o.first),
            inner.i.last.eq(o.last),
            inner.i.length.eq(o.meta.length),
            inner.i.size.eq(Mux(o.meta.length[14:].any(), ~0, o.meta.length[:14])),
            sent.reserve.eq(end),
            sent.write.eq(end),
            sent.i.length.eq(o.meta.length),
            sent.i.gso_size.eq(o.meta.gso_size),
            sent.i.error.eq(o.error),
            sent.i.target.eq(targets.o.payload),
            targets.o.ready.eq(end),
            finish.i_valid.eq(inner.facts_valid),
            finish.facts.eq(inner.facts),
            finish.ip_sum.eq(inner.ip_sum),
            finish.length.eq(sent.o.p.length),
            finish.gso_size.eq(sent.o.p.gso_size),
            finish.receive_mtu.eq(sent.o.p.target.receive_mtu),
        ]
        m.d.comb += [
            sent.o.ready.eq(inner.facts_valid),
            done.write.eq(finish.o_valid),
            done.i.sent.eq(delayed(m, sent.o.payload, finish.latency, name="sent")),
            done.i.finish.eq(finish.o),
            self.buffer.ready.eq(buffers.room),
            buffers.reserve.eq(self.buffer.valid & self.buffer.ready),
            buffers.write.eq(self.buffer.valid & self.buffer.ready),
            buffers.i.eq(self.buffer.payload),
        ]

        # -- out: a frame's beats, or the checksums of one whose beats are all out
        inside, offset = Signal(), Signal(LONG_OFFSET_BITS)
        move, beat, word = Signal(), Signal(), Signal()
        stage = Signal()  # which checksum of the frame is next
        frame, here = done.o.p, Signal(Word)
        ready = Signal()  # a frame is placed and its facts are known
        leaves = Signal()  # its delivery may be written down
        armed = Signal()  # it waits for the last placement in front of it to be taken
        m.d.comb += [
            move.eq(~self.place.valid | self.place.ready),
            ready.eq(done.o.valid & placed.o.valid & ~armed & ~self.delivery.valid),
            here.eq(Mux(stage, frame.finish.l4, frame.finish.ip)),
            word.eq(move & ~inside & ready & here.write & ~frame.sent.error),
            leaves.eq(ready & ~inside & move & (stage | frame.sent.error)),
            beat.eq(move & beats.o.valid & (inside | (buffers.o.valid & placed.room & ~ready))),
            buffers.o.ready.eq(beat & beats.o.p.last),
            beats.o.ready.eq(beat),
            placed.reserve.eq(beat & ~inside),
            done.o.ready.eq(leaves),
            placed.o.ready.eq(leaves),
        ]
        with m.If(ready & ~inside & move):
            m.d.sync += stage.eq(~stage & ~frame.sent.error)
        with m.If(move):
            m.d.sync += [
                self.place.valid.eq(beat | word),
                self.place.p.data.eq(Mux(word, Cat(here.value[8:], here.value[:8]), beats.o.p.data)),
                self.place.p.bytes.eq(Mux(word, 2, beats.o.p.bytes)),
                self.place.p.last.eq(word | beats.o.p.last),
                self.place.p.handle.eq(Mux(word, placed.o.payload, buffers.o.payload)),
                self.place.p.offset.eq(Mux(word, here.at, Mux(inside, offset, 0))),
            ]
        with m.If(beat):
            m.d.sync += [inside.eq(~beats.o.p.last), offset.eq(Mux(inside, offset, 0) + width)]
        m.d.comb += [placed.write.eq(beat & beats.o.p.last), placed.i.eq(buffers.o.payload)]

        # -- hand up
        up, sent_o = self.delivery.p, frame.sent
        with m.If(leaves):
            m.d.sync += [
                armed.eq(1),
                up.reason.eq(Mux(sent_o.error, RxReason.OUTER_LENGTH, RxReason.NONE)),
                up.claimed.eq(1),
                up.handle.eq(placed.o.payload),
                up.length.eq(sent_o.length),
                up.packets.eq(1),
                up.vnet.eq(sent_o.target.vnet),
                up.vports.eq(Cat(sent_o.target.vport == vport for vport in range(VPORTS))),
                up.hash.eq(frame.finish.hash),
                up.gso_size.eq(frame.finish.gso_size),
                up.cut.eq(frame.finish.cut),
                up.tcpv6.eq(frame.finish.tcpv6),
                up.ip_status.eq(frame.finish.ip_status),
                up.l4_status.eq(frame.finish.l4_status),
            ]
        with m.Elif(armed & move):
            m.d.sync += [armed.eq(0), self.delivery.valid.eq(1)]
        with m.If(self.delivery.valid & self.delivery.ready):
            m.d.sync += self.delivery.valid.eq(0)
        taken = self.delivery.valid & self.delivery.ready
        lies = up.reason != RxReason.NONE
        m.d.sync += [self.handed.eq(taken & ~lies), self.bad.eq(taken & lies)]
        return m
