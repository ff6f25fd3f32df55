"""STT frames are put together where they are going to lie: in host memory."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.registers.receive import RxReason
from hdl.rx.layouts import HANDLE_BITS, Completion, PlaceRecord, SttChunk, SttFacts
from hdl.rx.reassemble.facts import DigestFacts
from hdl.rx.reassemble.finish import Finish, ending_layout
from hdl.rx.reassemble.frames import Frames, Refusal
from hdl.rx.reassemble.loop import LOOPS
from hdl.rx.reassemble.place import ChunkPlace
from hdl.rx.reassemble.slot_facts import SlotFacts
from hdl.rx.reassemble.zeros import Zeros, zero_layout

HOLES = 24  # gaps that may be open in a frame
TAG_BITS, KIND_BITS = 16, 4
SWEEP_CYCLES = 256  # from the look at one slot's age to the next slot's
ZEROS = {8: 16, 16: 32, 32: 64, 64: 64}  # fragments at offset 0 whose facts may be on their way
FACTS = {8: 16, 16: 32, 32: 64, 64: 128}  # that may wait for their fragment

REASONS = {
    Refusal.TOTAL: RxReason.STT_TOTAL,
    Refusal.DUPLICATE: RxReason.STT_DUPLICATE,
    Refusal.OVERLAP: RxReason.STT_OVERLAP,
    Refusal.HOLES: RxReason.STT_HOLES,
    Refusal.BUFFER: RxReason.NO_BUFFER,
}


def tag_and_kind(m, chunk):
    """A hash of a frame's key, and the class of its outer source: the XOR of that one's 4-bit digits.

    Frames of one source with successive identifiers have different hashes.
    """
    halves = Signal(TAG_BITS, name="even"), Signal(TAG_BITS, name="odd")  # the XOR of every other word of the source
    for half, at in zip(halves, (0, 16), strict=True):
        words = [chunk.source[n : n + 16] for n in range(at, 128, 32)]
        m.d.comb += half.eq(words[0] ^ words[1] ^ words[2] ^ words[3])
    even, odd = halves
    tag = even ^ odd.rotate_left(1) ^ chunk.identifier[:16] ^ chunk.identifier[16:].rotate_left(5)
    both = Cat(even, odd)
    kind = Cat(Cat(both[n] for n in range(bit, len(both), KIND_BITS)).xor() for bit in range(KIND_BITS))
    return tag ^ Cat(Const(0, 11), chunk.ipv6, chunk.local), kind


def default_quota(slots: int) -> int:
    """Frames of one class that may be open unless another number is given."""
    return max(1, slots * 3 // 4)


class Reassemble(wiring.Component):
    """Place each fragment of an STT frame where it belongs, and say when the frame is whole.

    ::

                     ┌─ where ── place
        chunk ─ frames ─┬─ whole, lost ──┬─ finish ── completion
                        └─ zeros ─┐      │
        facts ─ digest ───────────┴──────┘            no payload is stored: only which bytes are here

    A fragment is decided on with its first chunk. What it changes, it changes with its last, if that says that the
    packet was good: a packet with a wrong checksum costs nothing but a write into bytes that are still missing. The
    first-arriving fragment of a frame says how long it is and claims a buffer. A frame that comes in one fragment needs
    no slot.

    A frame is whole the moment in which its last hole closes. If the facts of its fragment at offset 0 are not here by
    then, its slot is free all the same, and what is known of it waits for them in `zeros`.

    Ports: streams `chunk` and `buffer` (handles of 64 KB); `chunk_soon`: a chunk may come in the next cycles;
    `facts_valid`, `facts`, `facts_space`; `now` and `timeout` in ticks; `place_valid`, `place`; `completion_valid`,
    `completion`; `place_go` and `completion_go`: room for 7 more records, 8 at 64 bytes a beat; `quota`: frames of one
    class of outer sources that may be open (if not `strict`, once all slots are in use); `held`: packets in frames that
    are not complete; `open`: such frames.

    Every fragment is in exactly one completion, or held. A completion with a `reason` either gives up a frame, whose
    buffer it hands back (`claimed`), or says of one fragment that it was not taken.

    Latency: from a chunk to its placement 10 cycles at 8 bytes a beat, to the completion 11; one more for each 5 holes
    of its frame beyond 10. Throughput: a fragment's first or last chunk every 7 cycles (16 bytes a beat: 3, 32: 2, 64:
    1), likewise one more for each 5 holes beyond 10; a chunk between them every cycle. That is 10 cycles at most, and
    the shortest packets come 10.5 cycles apart. Back-pressure: holds `chunk`; `facts_margin`
    facts may come after `facts_space` has fallen. Facts go between chunks; at 64 bytes a beat a chunk waits for them
    every third cycle at most.
    Source: draft-davie-stt-08.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    slots : frames that can be open, a power of two
    quota : what the port of this name is if nothing drives it; three quarters of `slots` unless given
    facts_margin : facts for which there must be room for `facts_space`
    """

    def __init__(self, width: int, slots: int, quota: int | None = None, *, facts_margin: int = 8):
        self.width, self.slots = width, slots
        self.quota_init = default_quota(slots) if quota is None else quota
        if not 1 <= self.quota_init <= slots:
            raise ValueError(f"quota is {quota}; it must be between 1 and slots = {slots}")
        self.loop, self.facts_margin = LOOPS[width], facts_margin
        self.zero_bits = exact_log2(ZEROS[width])
        self.frames = Frames(
            slots=slots,
            holes=HOLES,
            bits=16,
            key_bits=128 + 4 + 1 + 32,
            tag_bits=TAG_BITS,
            kind_bits=KIND_BITS,
            zero_bits=self.zero_bits,
            now_bits=16,
            loop=self.loop,
        )
        super().__init__(
            {
                "chunk": In(stream.Signature(SttChunk)),
                "chunk_soon": In(1),
                "facts_valid": In(1),
                "facts": In(SttFacts),
                "facts_space": Out(1),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "now": In(16),
                "timeout": In(16),
                "quota": In(range(slots + 1), init=self.quota_init),
                "strict": In(1),
                "place_go": In(1),
                "place_valid": Out(1),
                "place": Out(PlaceRecord),
                "completion_go": In(1),
                "completion_valid": Out(1),
                "completion": Out(Completion),
                "held": Out(24),
                "open": Out(range(4 * slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.frames = frames = self.frames
        m.submodules.where = where = ChunkPlace(self.width)
        m.submodules.digest = digest = DigestFacts(
            depth=FACTS[self.width], margin=self.facts_margin, quick=self.width > 8
        )
        m.submodules.known = known = SlotFacts(slots=self.slots, loop=self.loop)
        m.submodules.finish = finish = Finish(zero_bits=self.zero_bits)
        slot_bits = exact_log2(self.slots)
        loop = self.loop
        m.submodules.zeros = zeros = Zeros(
            shape=zero_layout(slot_bits, frames.record_shape), depth=ZEROS[self.width], late=bool(loop.joints)
        )
        go = self.place_go & self.completion_go

        # -- what comes next: the slot whose turn it is, or a chunk
        chunk = self.chunk.p
        facts_first = Signal()
        # slots wait for a time at which they keep no fragment waiting, but not for ever
        clock, due, delay, now = Signal(range(SWEEP_CYCLES)), Signal(), Signal(14), Signal()
        may = Signal()
        m.d["sync" if loop.joints else "comb"] += may.eq(go & zeros.room & ~facts_first)
        take = self.chunk.valid & self.chunk.ready
        m.d.comb += [
            frames.go.eq(may),
            frames.due.eq(now),
            frames.chunk.valid.eq(self.chunk.valid),
            self.chunk.ready.eq(frames.chunk.ready),
        ]
        m.d.sync += clock.eq(clock + 1)
        with m.If(frames.sweep):
            m.d.sync += [due.eq(0), delay.eq(0), now.eq(0)]
        with m.Else():
            m.d.sync += [
                due.eq(due | (clock == 0)),
                delay.eq(delay + (due & ~delay.all())),
                now.eq(due & (delay.all() | ~(self.chunk_soon | zeros.some))),
            ]

        event = frames.chunk.p
        tag, kind = tag_and_kind(m, chunk)
        fragment = event.fragment
        m.d.comb += [
            event.first.eq(chunk.first),
            event.last.eq(chunk.last),
            event.bad.eq(chunk.verdict != RxReason.NONE),
            event.sum.eq(chunk.sum),
            fragment.barred.eq(chunk.reason != RxReason.NONE),
            fragment.key.eq(Cat(chunk.source, chunk.local, chunk.ipv6, chunk.identifier)),
            fragment.tag.eq(tag),
            fragment.kind.eq(kind),
            fragment.total.eq(chunk.total),
            fragment.start.eq(chunk.offset),
            fragment.end.eq(chunk.offset + chunk.size),
            fragment.tos.eq(chunk.tos),
            frames.buffer_valid.eq(self.buffer.valid),
            frames.buffer.eq(self.buffer.payload),
            frames.zero.eq(zeros.number),
            frames.now.eq(self.now),
            frames.timeout.eq(self.timeout),
            frames.quota.eq(self.quota),
            frames.strict.eq(self.strict),
        ]
        kept = Signal(SttChunk, reset_less=True)  # the chunk that is decided on
        with m.If(take):
            with m.If(chunk.first):
                m.d.sync += kept.eq(chunk)
            with m.Else():
                names = ("first", "last", "row", "lane", "length", "release_row", "verdict")
                m.d.sync += [kept[name].eq(chunk[name]) for name in names]
        done = frames.done & ~frames.swept
        m.d.comb += self.buffer.ready.eq(frames.opens)

        # -- its bytes
        placed, placing = Signal(16), Signal(where.i.shape(), reset_less=True)
        m.d.sync += [
            where.valid.eq(done),
            placed.eq(placed + done),
            *(placing[name].eq(kept[name]) for name in ("first", "last", "row", "lane", "length", "release_row")),
            placing.start.eq(kept.offset),
            placing.take.eq(frames.take),
            placing.handle.eq(frames.record.handle),
        ]
        m.d.comb += where.i.eq(placing)
        m.d.comb += [self.place_valid.eq(where.place_valid), self.place.eq(where.place)]

        # -- facts: those of a frame in a slot lie there until it is whole
        m.d.comb += [digest.write.eq(self.facts_valid), digest.i.eq(self.facts), self.facts_space.eq(digest.space)]
        m.submodules.owners = owners = memory.Memory(  # whether a slot's fragment at offset 0 is here, and its number
            shape=1 + self.zero_bits, depth=self.slots, init=[], attrs={"ram_style": "distributed"}
        )
        owner_write, owner_read = owners.write_port(), owners.read_port(domain="comb")
        meet, keep, mine = Signal(), Signal(), Signal()
        met = Signal(2)  # in one of the last two cycles: completions do not come in bursts
        zero = zeros.o
        m.d.comb += [
            owner_write.en.eq(frames.stays | (frames.taken & ~frames.whole & frames.is_zero)),
            owner_write.addr.eq(frames.slot),
            owner_write.data.eq(Cat(frames.is_zero, zeros.number)),
            owner_read.addr.eq(zero.slot),
            # the slot may have been given to another frame since
            mine.eq(owner_read.data == Cat(Const(1, 1), zeros.number_o)),
            meet.eq(digest.o.valid & zeros.some & frames.calm & go & ~known.busy & ~met.any()),
            keep.eq(meet & zero.wait & mine),
        ]
        gone = meet  # what has met leaves its queues
        if loop.joints:
            m.d.sync += met.eq(Cat(meet, met))
            gone = met[0]  # a cycle later: `meet` comes late
        m.d.comb += [digest.o.ready.eq(gone), zeros.pop.eq(gone)]
        m.d.comb += [
            known.slot.eq(frames.looked_up),
            known.age.eq(frames.age),
            known.load.eq(meet),
            known.given.eq(digest.o.p),
            known.keep.eq(keep),
            known.kept_slot.eq(zero.slot),
            known.open.eq(frames.stays),
            known.opened_slot.eq(frames.slot),
        ]
        if not loop.joints:  # chunks come every cycle: facts that have waited for one go first
            waited = Signal()
            m.d.sync += waited.eq(digest.o.valid & zeros.some & ~meet)
            m.d.comb += facts_first.eq(waited & ~meet)

        # -- fragments at offset 0
        complete, waits = Signal(), Signal()
        m.d.comb += [
            complete.eq(frames.whole & ~frames.is_zero & known.here),
            waits.eq(frames.whole & ~complete),
            zeros.add.eq(frames.closing & frames.is_zero),
            zeros.change.eq(waits & ~frames.is_zero),
            zeros.change_number.eq(frames.record.zero),
            zeros.entry.wait.eq(frames.taken & ~frames.whole),
            zeros.entry.finish.eq(frames.whole),
            zeros.entry.slot.eq(frames.slot),
            zeros.entry.record.eq(frames.record),
        ]

        # -- the end of a frame or a fragment
        ending = Signal(ending_layout(self.zero_bits), reset_less=True)
        refused = Signal(RxReason)
        with m.Switch(frames.refusal):
            for refusal, reason in REASONS.items():
                with m.Case(refusal):
                    m.d.comb += refused.eq(reason)
        single = frames.closing & ~frames.taken
        lost = frames.evicted | frames.expired
        m.d.sync += [
            finish.valid.eq(complete | single | lost | (meet & zero.finish)),
            ending.single.eq(single),
            ending.lost.eq(lost),
            ending.record.eq(Mux(meet, zero.record, frames.record)),
        ]
        with m.If(frames.expired):
            m.d.sync += ending.reason.eq(RxReason.STT_TIMEOUT)
        with m.Elif(frames.evicted):
            m.d.sync += ending.reason.eq(RxReason.STT_EVICTED)
        with m.Elif(kept.verdict != RxReason.NONE):
            m.d.sync += ending.reason.eq(kept.verdict)
        with m.Elif(kept.reason != RxReason.NONE):
            m.d.sync += ending.reason.eq(kept.reason)
        with m.Else():
            m.d.sync += ending.reason.eq(refused)
        m.d.comb += [
            finish.i.eq(ending),
            finish.facts.eq(known.facts),
            finish.placed.eq(placed),
            finish.lost_handle.eq(frames.lost_handle),
            finish.lost_packets.eq(frames.lost_packets),
            self.completion_valid.eq(finish.completion_valid),
            self.completion.eq(finish.completion),
        ]
        # -- account
        took, more, opened, closed = Signal(), Signal(signed(17)), Signal(), Signal()
        over = finish.completion_valid & finish.completion.claimed
        m.d.sync += [
            took.eq(frames.taken),
            more.eq(took - Mux(over, finish.completion.packets, 0)),
            opened.eq(frames.opens),
            closed.eq(over),
            self.held.eq(self.held + more),
            self.open.eq(self.open + opened - closed),
        ]
        return m
