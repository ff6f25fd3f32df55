"""Every open frame: which bytes of it are here, and whose buffer they are in."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.net.bits import equal
from hdl.net.sum16 import plus, running
from hdl.rx.layouts import HANDLE_BITS
from hdl.rx.reassemble.holes import Holes, place_layout
from hdl.rx.reassemble.loop import Loop
from hdl.rx.reassemble.paced_slots import PacedSlots
from hdl.rx.reassemble.slot_rows import SlotRows
from hdl.rx.reassemble.slots import Slots
from hdl.rx.slots import MOST_SLOTS
from hdl.stream.beat import swap16

CE = 3


class Refusal(Enum, shape=3):  # type: ignore[call-arg]
    """Why a good fragment is not taken."""

    NONE = 0
    TOTAL = 1
    DUPLICATE = 2
    OVERLAP = 3
    HOLES = 4
    BUFFER = 5


def chunk_layout(*, bits: int, key_bits: int, tag_bits: int, kind_bits: int) -> data.StructLayout:
    """What of a chunk decides."""
    return data.StructLayout(
        {
            "first": 1,
            "last": 1,
            "bad": 1,  # with `last`: the fragment must not be taken
            "sum": 16,  # with `last`: of its bytes
            "fragment": data.StructLayout(  # with `first`
                {
                    "barred": 1,  # must not be taken
                    "key": key_bits,  # which frame
                    "tag": tag_bits,  # a hash of the key
                    "kind": kind_bits,  # class of its source
                    "total": bits,  # bytes of the frame
                    "start": bits,
                    "end": bits,
                    "tos": 8,
                }
            ),
        }
    )


def record_layout(*, bits: int, zero_bits: int) -> data.StructLayout:
    """What is known of a frame's fragments together."""
    return data.StructLayout(
        {
            "handle": HANDLE_BITS,
            "total": bits,
            "packets": 16,
            "congested": 1,  # CE on any fragment
            "tos": 8,  # of the fragment at offset 0
            "sum": 17,  # of the bytes of all others, a running one
            "zero": zero_bits,  # number of the fragment at offset 0
        }
    )


class Frames(wiring.Component):
    """Decide on each chunk, and keep what is known of every open frame.

    ::

        chunk, due ── slots ─ context, holes of the slot ─ decide ─ done: take, taken, closed, expired, ...
                        └──────────────── state ◄────────────┘

    A fragment is decided on with its first chunk and taken with its last, all at once; between the two nothing else
    happens here, so both see the same state. A fragment that is not taken leaves no trace but a mark on its frame's
    slot. Chunks in the middle need no look at all.

    Ports: stream `chunk`; `due`: it is time to look at a slot's age, which happens with `sweep`; `go`: what is decided
    may leave; `buffer_valid`, `buffer`: the handle for a new frame; `zero`: number for a fragment at offset 0; `now`,
    `timeout`, `quota`, `strict`.
    `looked_up` (of part 2): the slot that the frame has, if it has one; `age`: cycles since its look has begun.
    `done`, and in that cycle: `swept` (it was no chunk); `take` (this chunk's bytes go into `record.handle`); with a
    fragment's last chunk (`closing`) also `taken`, `refusal`, `opens` (it is taken as the first of its frame, and takes
    `buffer`), `stays` (likewise, and its frame is not whole), `whole` (nothing of its frame is missing), `is_zero`,
    `slot` and `record` (as of now); `evicted`: a frame is given up for it, or (`expired`) for its age. `lost_handle`
    and `lost_packets` are that frame's, two cycles after `done`.
    `calm`: no decision is near; what it looks at beside the frames may change in this cycle.

    Latency: to `done` `loop.cycles`, and one more for each further row of holes; 1 for chunks in the middle. Where
    `PacedSlots` are used, one more behind a frame that has left its slot. Throughput: the next chunk is taken in the
    cycle of `done`.

    Parameters
    ----------
    slots : frames that can be open
    holes : gaps in one of them
    bits, key_bits, tag_bits, kind_bits : of lengths, keys, tags and classes
    zero_bits : of the number of a fragment at offset 0
    now_bits : of a time
    loop : the registers of the state loop
    """

    def __init__(
        self,
        *,
        slots: int,
        holes: int,
        bits: int,
        key_bits: int,
        tag_bits: int,
        kind_bits: int,
        zero_bits: int,
        now_bits: int,
        loop: Loop,
    ):
        self.count, self.bits, self.loop = slots, bits, loop
        self.paced = len(loop.joints) == Loop.PARTS - 1 and slots <= MOST_SLOTS
        finder = PacedSlots if self.paced else Slots
        self.slots = finder(slots=slots, tag_bits=tag_bits, kind_bits=kind_bits, loop=loop)
        self.holes = Holes(slots=slots, most=holes, bits=bits, loop=loop)
        self.record_shape = record_layout(bits=bits, zero_bits=zero_bits)
        self.chunk_shape = chunk_layout(bits=bits, key_bits=key_bits, tag_bits=tag_bits, kind_bits=kind_bits)
        # a context: what stays as it is from the frame's first fragment on, and what every fragment changes
        self.lasting = data.StructLayout({"opened": now_bits, "key": key_bits, "total": bits, "handle": HANDLE_BITS})
        self.passing = data.StructLayout(
            {
                "length": place_layout(self.holes.rows, self.holes.lanes),
                "zero": zero_bits,
                "sum": 17,
                "congested": 1,
                "tos": 8,
                "packets": 16,
            }
        )
        number = exact_log2(slots)
        super().__init__(
            {
                "chunk": In(stream.Signature(self.chunk_shape)),
                "due": In(1),
                "sweep": Out(1),
                "go": In(1),
                "calm": Out(1),
                "buffer_valid": In(1),
                "buffer": In(HANDLE_BITS),
                "zero": In(zero_bits),
                "now": In(now_bits),
                "timeout": In(now_bits),
                "quota": In(range(slots + 1)),
                "strict": In(1),
                "looked_up": Out(number),
                "age": Out(4),
                "done": Out(1),
                "swept": Out(1),
                "take": Out(1),
                "closing": Out(1),
                "taken": Out(1),
                "refusal": Out(Refusal),
                "opens": Out(1),
                "stays": Out(1),
                "whole": Out(1),
                "is_zero": Out(1),
                "slot": Out(number),
                "record": Out(self.record_shape),
                "evicted": Out(1),
                "expired": Out(1),
                "lost_handle": Out(HANDLE_BITS),
                "lost_packets": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = self.slots
        m.submodules.holes = holes = self.holes
        loop, joint = self.loop, self.loop.joint
        registers = len(loop.joints)

        # -- the event, which stands still until it is done
        chunk = self.chunk.p
        valid, begins, sweeping, event = Signal(), Signal(), Signal(), Signal(self.chunk_shape)
        age = Signal(range(registers + loop.rows + 1))
        ready, take, inside, middle = Signal(), Signal(), Signal(), Signal()
        freed, again = Signal(), Signal()  # a frame has left its slot in the cycle before: a look that has begun waits
        m.d.comb += [
            ready.eq(self.go & slots.ready & (~valid | self.done)),
            # a look at a slot may end its frame, so it waits for the end of a fragment
            self.sweep.eq(ready & self.due & ~inside),
            self.chunk.ready.eq(ready & (~self.due | inside)),
            take.eq(self.chunk.valid & self.chunk.ready),
        ]
        m.d.comb += again.eq(begins & freed)
        m.d.sync += [age.eq(age + 1), begins.eq(take | self.sweep | again)]
        with m.If(self.done):
            m.d.sync += valid.eq(0)
        with m.If(take | self.sweep):
            m.d.sync += [valid.eq(1), sweeping.eq(self.sweep), middle.eq(take & ~chunk.first & ~chunk.last)]
        with m.If(take | self.sweep | again):
            m.d.sync += age.eq(0)
        with m.If(take):
            m.d.sync += [
                inside.eq(~chunk.last),
                *(event[name].eq(chunk[name]) for name in ("first", "last", "bad", "sum")),
            ]
            with m.If(chunk.first):
                m.d.sync += event.fragment.eq(chunk.fragment)
        fragment = event.fragment

        # -- parts 0 and 1: whose slot
        m.d.comb += [
            slots.start.eq(begins),
            slots.tag.eq(fragment.tag),
            slots.kind.eq(fragment.kind),
            slots.quota.eq(self.quota),
            slots.strict.eq(self.strict),
            slots.sweep.eq(sweeping),
        ]

        # -- parts 2 and 3: its context and its holes
        m.submodules.lasting = lasting_rows = SlotRows(shape=self.lasting, slots=self.count, loop=loop)
        m.submodules.passing = passing_rows = SlotRows(shape=self.passing, slots=self.count, loop=loop)
        late = Signal()  # block RAM gives the victim's row when the slot's is not needed any more
        if loop.block_ram:
            m.d.comb += late.eq((age >= registers) & ~slots.any)
        for rows in (lasting_rows, passing_rows):
            m.d.comb += [rows.slot.eq(Mux(late, slots.victim, slots.slot)), rows.age.eq(age)]
        lasting, passing, length = lasting_rows.row, passing_rows.row, passing_rows.early
        row = Signal(range(loop.rows + 1))
        if loop.rows > 1:
            m.d.comb += row.eq(age - 2)
        m.d.comb += [
            holes.slot.eq(slots.slot),
            holes.row.eq(row),
            holes.collect.eq(valid & (age >= registers - 1)),
            holes.clear.eq(take),
            holes.length.eq(length),
            holes.start.eq(fragment.start),
            holes.end.eq(fragment.end),
            holes.total.eq(fragment.total),
        ]

        # -- parts 4 and 5: is it this frame, and what becomes of it
        def on(value, name: str):
            """What the row says, for part 6."""
            if lasting_rows.part == 4:
                value = joint(m, 4, value, f"{name}_4")
            return joint(m, 5, value, name)

        eights = [slice(at, at + 8) for at in range(0, len(fragment.key), 8)]
        same = Cat(equal(m, lasting.key[eight], fragment.key[eight]) for eight in eights)
        if lasting_rows.part == 4:
            same = joint(m, 4, same, "same_groups")
        hit = joint(m, 5, slots.any & same.all(), "hit")
        fits = on(lasting.total == fragment.total, "fits")
        old = joint(m, 4, (self.now - lasting_rows.early)[: len(self.now)], "old")
        too_old = joint(m, 5, old >= self.timeout, "too_old")
        is_zero = fragment.start == 0
        other = Mux(is_zero, 0, Mux(fragment.start[0], swap16(event.sum), event.sum))
        known = Signal(self.passing)  # with this fragment
        m.d.comb += [
            known.packets.eq(passing.packets + 1),
            known.congested.eq(passing.congested | (fragment.tos[:2] == CE)),
            known.tos.eq(passing.tos),
            known.sum.eq(plus(passing.sum, other)),
            known.zero.eq(passing.zero),
        ]
        known = on(known, "known")
        # part 6 is decided on in this cycle; and it ends a fragment that may be taken, if the bytes fit
        ends, good = Signal(), Signal()
        may_be = ~sweeping & event.last & ~fragment.barred & ~event.bad
        if loop.rows > 1:
            more = Signal(range(loop.rows))  # cycles that a long list takes: two rows are there by part 6
            beyond = Mux(length.row > 1, length.row - Mux(length.lane == 0, 2, 1), 0)
            last = valid & ~middle & (age == registers - 1 + more)
            m.d.comb += more.eq(Mux(slots.any, joint(m, 4, beyond[: len(more)], "beyond"), 0))
            m.d.sync += [ends.eq(last), good.eq(last & may_be)]
        else:
            m.d.comb += [ends.eq(valid & ~middle & (age == registers)), good.eq(ends & may_be)]

        # -- part 6: decide
        held_take, held_buffer = Signal(), Signal()
        fresh, has_buffer, accept = Signal(), Signal(), Signal()
        m.d.comb += [
            self.calm.eq(~valid | middle | (begins & bool(registers))),
            self.done.eq(ends | (valid & middle)),
            fresh.eq(~hit),
            holes.fresh.eq(fresh),
            # what the first chunk was told holds for the others too
            has_buffer.eq(Mux(event.first, self.buffer_valid, held_buffer)),
        ]
        with m.If(fragment.barred):
            pass
        with m.Elif(hit & ~fits):
            m.d.comb += self.refusal.eq(Refusal.TOTAL)
        with m.Elif(hit & ~holes.inside):
            m.d.comb += self.refusal.eq(Mux(holes.touches, Refusal.OVERLAP, Refusal.DUPLICATE))
        with m.Elif(holes.splits & holes.full):
            m.d.comb += self.refusal.eq(Refusal.HOLES)
        with m.Elif(fresh & ~has_buffer):
            m.d.comb += self.refusal.eq(Refusal.BUFFER)
        taken, whole = Signal(), Signal()
        # as `taken & fresh`, and with `~whole`, but without what the list of holes has to say, which comes late
        opens = good & fresh & has_buffer
        insert = opens & holes.partial
        m.d.comb += [
            accept.eq(~fragment.barred & (self.refusal == Refusal.NONE)),
            taken.eq(good & accept),
            whole.eq(holes.closes),
            self.take.eq(Mux(middle, held_take, accept & ~sweeping & ~(event.last & event.bad))),
            self.looked_up.eq(slots.slot),
            self.age.eq(age),
            self.swept.eq(sweeping),
            self.closing.eq(ends & ~sweeping & event.last),
            self.taken.eq(taken),
            self.opens.eq(opens),
            self.stays.eq(insert),
            self.whole.eq(taken & whole),
            self.is_zero.eq(is_zero),
            self.slot.eq(Mux(slots.any, slots.slot, slots.victim)),
            self.expired.eq(ends & sweeping & slots.any & too_old),
            self.evicted.eq(insert & (slots.any | ~slots.vacant)),
            self.record.handle.eq(Mux(fresh, self.buffer, lasting.handle)),
            self.record.total.eq(fragment.total),
        ]
        with m.If(ends & event.first):
            m.d.sync += [held_take.eq(accept), held_buffer.eq(has_buffer)]

        # -- what is known behind it
        new = Signal(self.passing)
        with m.If(fresh):
            m.d.comb += [
                new.packets.eq(1),
                new.congested.eq(fragment.tos[:2] == CE),
                new.sum.eq(running(other)),
            ]
        with m.Else():
            m.d.comb += [new[name].eq(known[name]) for name in ("packets", "congested", "sum")]
        m.d.comb += [
            new.tos.eq(Mux(fresh | is_zero, fragment.tos, known.tos)),
            new.zero.eq(Mux(fresh | is_zero, self.zero, known.zero)),
            new.length.eq(holes.left_over),
            *(self.record[name].eq(new[name]) for name in ("packets", "congested", "tos", "sum", "zero")),
        ]
        first = Signal(self.lasting)
        m.d.comb += [
            first.key.eq(fragment.key),
            first.total.eq(fragment.total),
            first.handle.eq(self.buffer),
            first.opened.eq(self.now),
        ]
        keep = taken & ~whole
        free = (taken & hit & whole) | self.expired
        if self.paced:  # it comes late, so it has a cycle of its own
            m.d.sync += freed.eq(free)
        for rows, enable, row in ((lasting_rows, insert, first), (passing_rows, keep, new)):
            m.d.comb += [rows.write.eq(enable), rows.write_slot.eq(self.slot), rows.data.eq(row)]
        m.d.comb += [
            holes.write.eq(keep),
            holes.write_slot.eq(self.slot),
            slots.mark.eq((good & hit) | self.expired),
            slots.free.eq(freed if self.paced else free),
            slots.insert.eq(insert),
            slots.turn.eq(ends & sweeping),
        ]

        # -- what is lost with a frame that is given up
        if loop.block_ram:
            m.d.comb += [self.lost_handle.eq(lasting.handle), self.lost_packets.eq(passing.packets)]
        else:
            for rows in (lasting_rows, passing_rows):
                m.d.comb += rows.other.eq(slots.victim)
            others = lasting_rows.other_row.handle, passing_rows.other_row.packets
            lost = Mux(slots.any, Cat(lasting.handle, passing.packets), Cat(*others))
            for cycle in range(2):
                register = Signal(lost.shape(), name=f"lost_{cycle}", reset_less=True)
                m.d.sync += register.eq(lost)
                lost = register
            m.d.comb += Cat(self.lost_handle, self.lost_packets).eq(lost)
        return m
