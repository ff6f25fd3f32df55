"""What must hold of every byte of every frame, whatever comes, in terms of one byte of one buffer that may be any."""

from typing import Any

from amaranth import Elaboratable, Module, Mux, Signal
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover

from hdl.rx.reassemble.loop import Loop
from hdl.stream.beat import delayed

HANDLES = 3  # bits of a buffer's number, here


class OneList(Elaboratable):
    """The holes of one frame alone, for induction: what is in the list is what has not come yet, and nothing else.

    Parameters
    ----------
    holes : the class to be proven
    most : holes in the list
    bits : of a length
    """

    def __init__(self, holes: Any, *, most: int = 3, bits: int = 6) -> None:
        self.most, self.bits = most, bits
        self.holes = holes(slots=2, most=most, bits=bits, loop=Loop(()))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.holes = holes = self.holes
        byte, start, end, total = Signal(self.bits), Signal(self.bits), Signal(self.bits), Signal(self.bits)
        m.d.comb += byte.eq(AnyConst(self.bits))
        m.d.comb += [value.eq(AnySeq(self.bits)) for value in (start, end, total)]
        frame, length = Signal(self.bits), Signal.like(holes.length)  # total; 0: none is open
        here = Signal()  # this byte has come
        fresh = frame == 0
        size = Mux(fresh, total, frame)
        take = Signal()
        m.d.comb += [
            Assume((start < end) & (end <= size)),
            holes.length.eq(length),
            holes.start.eq(start),
            holes.end.eq(end),
            holes.total.eq(size),
            holes.fresh.eq(fresh),
            take.eq(holes.inside & ~(holes.splits & holes.full) & AnySeq(1)),
            holes.write.eq(take & ~holes.closes),
        ]
        touched = (start <= byte) & (byte < end)
        with m.If(take):
            m.d.sync += [
                frame.eq(Mux(holes.closes, 0, size)),
                length.eq(holes.left_over),
                here.eq(Mux(holes.closes, 0, touched | (here & ~fresh))),
            ]

        count = length.row * holes.lanes + length.lane
        within = [(n < count) & (hole.start <= byte) & (byte < hole.end) for n, hole in enumerate(holes.listed)]
        with m.If(fresh):
            m.d.comb += Assert(~here)
        with m.Else():
            # a byte that is missing is in one hole, one that is here in none
            m.d.comb += Assert(sum(within) == ((byte < frame) & ~here))
            m.d.comb += Assert((count > 0) & (count <= self.most) & (length.lane < holes.lanes))
            for n, hole in enumerate(holes.listed):
                m.d.comb += Assert((n >= count) | ((hole.start < hole.end) & (hole.end <= frame)))
                for other in holes.listed[:n]:
                    m.d.comb += Assert((n >= count) | (hole.end <= other.start) | (other.end <= hole.start))
        with m.If(take):
            m.d.comb += Assert(~(touched & here & ~fresh))  # no byte comes twice
            m.d.comb += Assert(~holes.closes | ~(byte < size) | touched | (here & ~fresh))  # whole is whole
            m.d.comb += Cover(holes.closes & ~fresh)
            m.d.comb += Cover(holes.splits & ~fresh)
        return m


class AnyTraffic(Elaboratable):
    """All frames with their slots, under any chunks, sweeps, ages and shares.

    The number of a buffer is that of its frame. Of any one buffer and any byte of it:

    * `received`: a fragment that was taken had it. No placement touches it after that, and no other fragment that is
      taken has it.
    * All fragments that are taken into a buffer are of one frame.
    * A frame is whole when all of its bytes are received, each of which was placed, and it is as long as its
      first-arriving fragment said.
    * Nothing is placed into a buffer that has been handed up or given up; and a frame is not given up between the first
      and the last chunk of a fragment that goes into its buffer.

    Parameters
    ----------
    frames : the class to be proven
    loop, holes, bits : its registers, the holes of a frame and the bits of a length
    """

    def __init__(self, frames: Any, *, loop: Loop, holes: int = 2, bits: int = 3) -> None:
        self.bits = bits
        self.frames = frames(
            slots=2, holes=holes, bits=bits, key_bits=3, tag_bits=1, kind_bits=1, zero_bits=1, now_bits=1, loop=loop
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.frames = frames = self.frames
        byte, buffer, length = Signal(self.bits), Signal(HANDLES), Signal(self.bits)  # `length`: of the chunk
        chunk, fragment = frames.chunk.p, frames.chunk.p.fragment
        claimed = Signal(HANDLES)
        m.d.comb += [
            byte.eq(AnyConst(self.bits)),
            buffer.eq(AnyConst(HANDLES)),
            length.eq(AnySeq(self.bits)),
            frames.chunk.valid.eq(AnySeq(1)),
            chunk.eq(AnySeq(len(chunk.as_value()))),
            frames.go.eq(AnySeq(1)),
            frames.due.eq(AnySeq(1)),
            frames.buffer_valid.eq(AnySeq(1)),
            frames.buffer.eq(claimed),
            frames.now.eq(AnySeq(1)),
            frames.timeout.eq(1),
            frames.quota.eq(AnyConst(2)),
            frames.strict.eq(AnyConst(1)),
            Assume((frames.quota == 1) | (frames.quota == 2)),
            # tag and class are hashes of the key
            fragment.tag.eq(fragment.key[0]),
            fragment.kind.eq(fragment.key[1]),
        ]
        # a buffer stays on offer; and there are not so many frames that its number comes again
        offered = Signal()
        m.d.sync += offered.eq(frames.buffer_valid & ~(frames.opens))
        m.d.comb += Assume(~offered | frames.buffer_valid)
        m.d.comb += Assume(claimed != (1 << HANDLES) - 1)
        with m.If(frames.opens):
            m.d.sync += claimed.eq(claimed + 1)

        # -- what comes: fragments in chunks that add up to them
        take = frames.chunk.valid & frames.chunk.ready
        inside, at, end = Signal(), Signal(self.bits), Signal(self.bits)
        start = Mux(chunk.first, fragment.start, at)
        limit = Mux(chunk.first, fragment.end, end)
        with m.If(frames.chunk.valid):
            m.d.comb += [
                Assume(chunk.first == ~inside),
                Assume(~chunk.first | ((fragment.start < fragment.end) & (fragment.end <= fragment.total))),
                Assume((start <= limit) & (length <= limit - start)),
                Assume(~chunk.last | chunk.bad | (length == limit - start)),
            ]
        now_start, now_end = Signal(self.bits), Signal(self.bits)  # of the chunk that is decided on
        total, key = Signal(self.bits), Signal.like(fragment.key)  # of its frame
        begin, finish = Signal(self.bits), Signal(self.bits)  # of its fragment
        with m.If(take):
            m.d.sync += [
                inside.eq(~chunk.last),
                at.eq(start + length),
                end.eq(limit),
                now_start.eq(start),
                now_end.eq(start + length),
            ]
            with m.If(chunk.first):
                m.d.sync += [
                    total.eq(fragment.total),
                    key.eq(fragment.key),
                    begin.eq(fragment.start),
                    finish.eq(fragment.end),
                ]

        # -- what becomes of it
        done = frames.done & ~frames.swept
        first = Signal(init=1)  # the chunk that is decided on is its fragment's first
        target = Signal(16)  # the buffer that the fragment goes to
        handle = Mux(first, frames.record.handle, target)
        with m.If(done):
            m.d.sync += first.eq(frames.closing)
            with m.If(first):
                m.d.sync += target.eq(frames.record.handle)
        mine = handle == buffer
        placed = done & frames.take & mine
        touches = placed & (now_start <= byte) & (byte < now_end)
        has = mine & (begin <= byte) & (byte < finish)
        received, written, gone = Signal(), Signal(), Signal()
        size, owner = Signal.like(total), Signal.like(key)  # of the buffer's frame
        writing = Signal()  # this byte, by the fragment that is being placed
        with m.If(done):
            m.d.sync += writing.eq((writing | touches) & ~frames.closing)
        with m.If(frames.taken & mine):
            m.d.sync += [received.eq(received | has), written.eq(written | writing | touches)]
            with m.If(frames.opens):
                m.d.sync += [size.eq(total), owner.eq(key)]
            with m.Else():
                m.d.comb += Assert(key == owner)
        with m.If(frames.whole & mine):
            m.d.sync += gone.eq(1)

        # what is said early of a frame's first fragment is true
        m.d.comb += [
            Assert(~frames.opens | frames.taken),
            Assert(frames.stays == (frames.opens & ~frames.whole)),
        ]
        # (a) no byte is taken twice, none is overwritten
        with m.If(touches):
            m.d.comb += Assert(~received)
        with m.If(frames.taken):
            m.d.comb += Assert(~(has & received))
            m.d.comb += Assert(handle == frames.record.handle)
        # (b) whole is whole, and as long as was said
        with m.If(frames.whole & mine):
            m.d.comb += [
                Assert(~(byte < frames.record.total) | received | has),
                Assert(~(byte < frames.record.total) | written | writing | touches),
                Assert(frames.opens | (frames.record.total == size)),
                Cover(~frames.opens & (frames.record.packets == 3)),
            ]
        # (c) nothing goes into a buffer that is not its frame's any more
        with m.If(placed):
            m.d.comb += Assert(~gone)
        up = done & frames.take & mine & ~frames.closing  # a placement is under way
        under_way = Signal()
        with m.If(done & mine):
            m.d.sync += under_way.eq(up)
        given_up = frames.evicted | frames.expired
        lost, busy = delayed(m, given_up, 2, name="lost"), delayed(m, under_way & ~frames.closing, 2, name="busy")
        with m.If(lost & (frames.lost_handle == buffer)):
            m.d.comb += Assert(~busy & ~gone)
            m.d.sync += gone.eq(1)
            m.d.comb += Cover(frames.lost_packets == 2)
        m.d.comb += Cover(frames.evicted)
        m.d.comb += Cover(frames.expired)
        return m
