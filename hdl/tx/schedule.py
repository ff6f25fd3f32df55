"""Whose frame is next: deficit round robin between vports."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.tables import VPORT_BITS, VPORTS
from hdl.stream.beat import FRAME_LENGTH_BITS, FrameMeta
from hdl.stream.small_fifo import SmallFifo

TAG_BITS = 32


class Descriptor(data.Struct):
    """A frame that waits in its vport's memory."""

    meta: FrameMeta
    tag: TAG_BITS  # for whoever fetches the frame; passed on as it came


class Stored(data.Struct):
    """A descriptor in its vport's queue."""

    length: FRAME_LENGTH_BITS
    gso_size: 16
    accecn: 1
    tag: TAG_BITS


class Event(enum.Enum):
    """What happens to a vport's queue. One in a cycle."""

    NONE = 0
    ADD = 1  # a descriptor comes
    BEGIN = 2  # the vport's turn begins
    END = 3  # it is over


class Schedule(wiring.Component):
    """Descriptors wait in a queue a vport, and leave by turns (Shreedhar and Varghese, 1995).

    ::

        i ── event ─┬─ [ descriptors: `places` a vport ] ── q ── compare ── o
                    ├─ [ queues: tail, count ]          ▲          │
                    └─ [ turns: who waits ] ── vport, left ────────┴─ freed
                                   ▲            │   ▲
                                   └── END ─────┘   [ deficits ]

    A vport whose queue gets its first descriptor lines up in `turns`. Its turn gives it `quantum` bytes and what its
    last turn left; its frames leave as long as the next one is not longer than what is left. Then it lines up again
    with what is left; or its queue is empty: then nothing is left. A super-segment is one frame, never interrupted.

    All that changes a queue's state is one event a cycle, read, changed and written back in that cycle.

    Ports: streams `i` and `o` (`Descriptor`); a vport's descriptor may come only while fewer than `places` of them are
    here. `freed`, `freed_vport`: a place of that vport is free again, a credit for whoever fills the queues. `quantum`:
    bytes a turn, at least 1; at `MAXIMUM_FRAME` every turn sends something.

    Latency: 9 cycles through an idle scheduler. Throughput: a turn takes 8 cycles and one for every further descriptor.
    Back-pressure: `o` stops the turns; `i` waits two cycles a turn at most, and never for a vport. A descriptor without
    a free place is the writer's bug: it destroys another of its own vport.

    Parameters
    ----------
    places : descriptors that a vport may have waiting; a power of two, at least 4
    """

    def __init__(self, *, places: int = 8):
        if places & (places - 1) or places < 4:
            raise ValueError(f"places is {places}; it must be a power of two, at least 4")
        self.places = places
        super().__init__(
            {
                "i": In(stream.Signature(Descriptor)),
                "o": Out(stream.Signature(Descriptor)),
                "freed": Out(1),
                "freed_vport": Out(VPORT_BITS),
                "quantum": In(FRAME_LENGTH_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = (self.places - 1).bit_length()
        queue_state = data.StructLayout({"tail": bits, "count": bits + 1})
        m.submodules.queues = queues = memory.Memory(shape=queue_state, depth=VPORTS, init=[])
        m.submodules.deficits = deficits = memory.Memory(shape=FRAME_LENGTH_BITS, depth=VPORTS, init=[])
        m.submodules.turns = turns = SmallFifo(shape=VPORT_BITS, depth=VPORTS)  # never full: a vport is in it once
        m.submodules.descriptors = descriptors = memory.Memory(
            shape=Stored,
            depth=VPORTS * self.places,
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},  # a place is never read in the cycle that fills it
        )

        # -- the turn under way
        vport = Signal(VPORT_BITS)
        serving = Signal()  # BEGIN has happened, END has not
        over = Signal()  # its next frame is too long for what is left
        left = Signal(FRAME_LENGTH_BITS + 1)
        served = Signal(bits + 1)  # frames sent, modulo twice the places
        place = Signal(bits)  # of the next descriptor to read,
        waiting = Signal(bits + 1)  # and how many there are
        begin, load, serve, end = Signal(), Signal(), Signal(), Signal()  # one after the other, or none: idle

        # -- events
        event, subject, arrival = Signal(Event), Signal(VPORT_BITS), Signal(Stored)
        m.d.comb += self.i.ready.eq(~(begin | end))
        with m.If(begin):
            m.d.sync += event.eq(Event.BEGIN)
        with m.Elif(end):
            m.d.sync += event.eq(Event.END)
        with m.Elif(self.i.valid):
            m.d.sync += event.eq(Event.ADD)
        with m.Else():
            m.d.sync += event.eq(Event.NONE)
        with m.If(begin | end):
            m.d.sync += subject.eq(vport)
        with m.Else():
            m.d.sync += subject.eq(self.i.p.meta.vport)
        m.d.sync += [
            *(getattr(arrival, name).eq(getattr(self.i.p.meta, name)) for name in ("length", "gso_size", "accecn")),
            arrival.tag.eq(self.i.p.tag),
        ]

        read, write = queues.read_port(domain="comb"), queues.write_port()
        state = read.data
        add = event == Event.ADD
        mine = serving & (subject == vport)
        remain = Signal(bits + 1)
        m.d.comb += [
            remain.eq(state.count - served),
            read.addr.eq(subject),
            write.addr.eq(subject),
            write.en.eq(add | (event == Event.END)),
            write.data.tail.eq(state.tail + add),
            write.data.count.eq(Mux(add, state.count + 1, remain)),
        ]
        m.d.sync += [
            turns.write.eq(Mux(add, (state.count == 0) & ~mine, (event == Event.END) & (remain != 0))),
            turns.i.eq(subject),
        ]
        fill = descriptors.write_port()
        m.d.comb += [fill.en.eq(add), fill.addr.eq(Cat(state.tail, subject)), fill.data.eq(arrival)]

        # -- read ahead, and stop where the frames do not fit
        look = descriptors.read_port()
        move, issue, accept = Signal(), Signal(), Signal()
        ahead, valid, candidate = Signal(), Signal(), Signal(Stored, reset_less=True)
        rest = Signal(FRAME_LENGTH_BITS + 2)
        m.d.comb += [
            move.eq(~self.o.valid | self.o.ready),
            issue.eq(move & serve & ~over & (waiting != 0)),
            look.en.eq(issue),
            look.addr.eq(Cat(place, vport)),
            rest.eq(left - candidate.length),
            accept.eq(valid & ~over & ~rest[-1]),
        ]
        with m.If(move):
            m.d.sync += [
                ahead.eq(issue),
                valid.eq(ahead),
                candidate.eq(look.data),
                self.o.valid.eq(accept),
                self.o.p.tag.eq(candidate.tag),
                self.o.p.meta.vport.eq(vport),
                *(
                    getattr(self.o.p.meta, name).eq(getattr(candidate, name))
                    for name in ("length", "gso_size", "accecn")
                ),
            ]
            with m.If(accept):
                m.d.sync += [left.eq(rest), served.eq(served + 1)]
            with m.Elif(valid):
                m.d.sync += over.eq(1)
        m.d.sync += [self.freed.eq(accept & move), self.freed_vport.eq(vport)]

        # -- from turn to turn
        known, keep = deficits.read_port(domain="comb"), deficits.write_port()
        saved = Signal(FRAME_LENGTH_BITS)
        done = Signal()
        m.d.comb += [
            turns.o.ready.eq(~(begin | load | serve | end)),
            done.eq(serve & ~ahead & ~valid & (over | (waiting == 0))),
            known.addr.eq(vport),
            keep.addr.eq(vport),
            keep.en.eq(end),
            keep.data.eq(Mux(over, left, 0)),
        ]
        m.d.sync += [begin.eq(turns.o.valid & turns.o.ready), load.eq(begin), end.eq(done), saved.eq(known.data)]
        with m.If(turns.o.ready):
            m.d.sync += vport.eq(turns.o.payload)
        with m.If(load):  # the event BEGIN is looked at
            m.d.sync += [
                serve.eq(1),
                serving.eq(1),
                over.eq(0),
                served.eq(0),
                left.eq(saved + self.quantum),
                place.eq(state.tail - state.count),
                waiting.eq(state.count),
            ]
        with m.Else():
            m.d.sync += waiting.eq(waiting + (add & mine) - issue)
            with m.If(issue):
                m.d.sync += place.eq(place + 1)
            with m.If(done):
                m.d.sync += serve.eq(0)
            with m.If(event == Event.END):
                m.d.sync += serving.eq(0)
        return m
