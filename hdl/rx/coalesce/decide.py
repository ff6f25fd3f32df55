"""Whether a packet goes on with its flow's run."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.bits import equal
from hdl.net.sum16 import gate
from hdl.registers.receive import ChecksumStatus, RxReason
from hdl.rx.coalesce.records import ENDING, FIRST, LATEST, RUN, TIME_BITS, event_layout
from hdl.rx.coalesce.rows import HeaderRows
from hdl.rx.coalesce.words import WORDS, WordRows
from hdl.rx.layouts import HANDLE_BITS, PlaceRecord
from hdl.rx.slots.clean import Clean
from hdl.stream.beat import delayed
from hdl.stream.paced_pipe import PacedPipe

READ_LATEST, READ_RUN, DECIDE, END = 3, 6, 8, 10  # stages


class Decide(wiring.Component):
    """One event after the other: merge it, or end what is open and begin anew.

    ::

        stage  0          3              6          7         8 (to 10)            10
        event ─┬─ latest of the slot ─ compare ─────┴─ same ─ merge? ─┬─ place     ├─ ending: a run
               │        └ replaced                             │      └─ run ──────┴─ ending: a packet, or its run
        header rows ─ compare ──────────── differs ────────┘ run of the slot
                                                               └──────┘ loop

    Whatever is decided, the latest packet's facts replace those of the one before: all but three bits of the decision
    come from two neighbours. What is left (is a run open, has it room, which way go its IPv4 IDs) is kept in `RUN`:
    read, decided and written within `pace` cycles; at paces of 1 and 2 what has just been written is handed on.

    Where there is time for it, at a pace of 6, the rows of `latest` and `first` are read and written a word a cycle.

    Ports: `ready`: `valid` may come; it is 0 for `slots` cycles after a reset, until no run of before is open;
    `valid` (at most every `pace` cycles), `event`; `soon`, at a pace of 6: `valid` and `event` come in the next
    cycle, and the slot is right already; `differs` (see `HeaderRows`, whose walk ends with `valid`);
    `idle`; stream `buffer`; `place_valid`, `place`; `ending_valid`, `ending`: a run that the event has ended, `END`
    cycles after `valid`, and if what came of its packet is complete, `gap` cycles later that; `held`, `open`: packets
    in open runs, and open runs. At a pace of 1 the former is `broken_valid`, `broken`, and in the same cycle is `done`.

    Parameters
    ----------
    pace : cycles from one event to the next, at least (1, 2, 3 or 6)
    slots : a power of two
    """

    def __init__(self, *, pace: int, slots: int):
        self.pace, self.slots = pace, slots
        self.gap = pace // 2
        super().__init__(
            {
                "ready": Out(1),
                "valid": In(1),
                "soon": In(1),
                "event": In(event_layout(slots)),
                "differs": In(1),
                "idle": In(TIME_BITS),
                "buffer": In(stream.Signature(HANDLE_BITS)),
                "place_valid": Out(1),
                "place": Out(PlaceRecord),
                "ending_valid": Out(1),
                "ending": Out(ENDING),
                **({"done": Out(1), "broken_valid": Out(1), "broken": Out(ENDING)} if pace == 1 else {}),
                "held": Out(24),
                "open": Out(range(slots + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.folds = self.pace > WORDS  # there is a cycle for each word
        p = PacedPipe(m, self.valid, pace=self.pace, e=self.event)
        self._compare(m, p)
        self._decide(m, p)
        self._place(m, p)
        self._first(m, p)
        self._end(m, p)
        return m

    def _table(self, m: Module, name: str, shape):
        """A row a slot. Rows are read in the cycle of their writing only at pace 1, and then with their old content."""
        m.submodules[name] = ram = memory.Memory(
            shape=shape,
            depth=self.slots,
            init=[],
            attrs={"ram_style": "block"} | ({"no_rw_check": 1} if self.pace > 1 else {}),
        )
        return ram.read_port(), ram.write_port()

    def _compare(self, m: Module, p: PacedPipe) -> None:
        """Is the packet like the latest one of its slot, and the one behind it?"""
        if self.folds:
            self._read_words(m, p)
        else:
            self._read_latest(m, p)

        e, was = p.e, p.latest
        id_step = Signal(16)
        m.d.comb += id_step.eq(e.id - was.id)
        rest = Cat(e.first.vnet, e.tos, e.rows, e.first.ipv6), Cat(was.vnet, was.tos, was.rows, was.ipv6)
        p.put(
            same_low=equal(m, e.sequence[:16], was.following[:16]),
            same_high=equal(m, e.sequence[16:], was.following[16:]),
            same_origin=equal(m, e.origin, was.origin),
            same_options=equal(m, e.options, was.options),
            same_rest=equal(m, *rest),
            same_id=id_step == 0,
            next_id=id_step == 1,
            longer=e.payload > was.payload,
            short=e.payload < was.payload,
            age=(e.now - was.time)[:TIME_BITS],
        )
        p.step()
        assert p.cycles == READ_RUN
        p.put(
            expired=p.age >= self.idle,
            alike=p.e.found
            & p.e.merge
            & p.same_low
            & p.same_high
            & p.same_origin
            & p.same_options
            & p.same_rest
            & ~p.longer,
            next_id=p.next_id | p.e.first.ipv6,
            stays_id=p.same_id & ~p.e.first.ipv6,
        )

    def _read_latest(self, m: Module, p: PacedPipe) -> None:
        read, write = self._table(m, "latest", LATEST)
        later = int(self.pace > 1)
        while p.cycles < READ_LATEST:
            p.step()
        m.d.comb += [read.addr.eq(p.e.slot), read.en.eq(p.valid)]
        if later:
            p.step()
        m.d.comb += [write.addr.eq(p.e.slot), write.en.eq(p.valid & p.e.merge), write.data.eq(_latest(m, p.e))]
        if not later:
            p.step()
        p.put(latest=read.data)
        p.step()

    def _read_words(self, m: Module, p: PacedPipe) -> None:
        """From a cycle in front of `valid` on; each is replaced three cycles later."""
        m.submodules.latest = rows = WordRows(shape=LATEST, slots=self.slots)
        while p.cycles < WORDS:
            p.step()
        e = p.e  # in the same register from the first stage to the sixth
        m.d.comb += [
            rows.reads.eq(Cat(self.soon, *(p.valid_at(stage) for stage in range(WORDS - 1)))),
            rows.read_slot.eq(self.event.slot),
            rows.offers.eq(Cat(p.valid_at(stage) for stage in range(1, WORDS + 1))),
            rows.write.eq(e.merge),
            rows.write_slot.eq(e.slot),
            rows.data.eq(_latest(m, e)),
        ]
        self.slot_of_first = e.slot
        assert p.cycles == READ_LATEST + 2
        p.put(latest=rows.row)

    def _decide(self, m: Module, p: PacedPipe) -> None:
        """The loop over the slot's run."""
        read, write = self._table(m, "runs", RUN)
        m.d.comb += [read.addr.eq(p.e.slot), read.en.eq(p.valid)]
        p.step()
        assert p.cycles == HeaderRows.LATENCY
        ages = range(self.pace, 3)  # cycles ago at which a run may have been written that is not in what was read
        ahead = Signal()
        m.d.comb += ahead.eq(p.valid & p.e.touch)
        p.put(
            stored=read.data,
            same=p.alike & ~p.expired & ~self.differs,
            ends=p.e.ends.any(),
            wanted=p.e.packet & ((p.e.reason == 0) | p.e.slow),
            **{
                f"near_{age}": delayed(m, ahead, age, name="ahead")
                & (delayed(m, p.e.slot, age, name="slot") == p.e.slot)
                for age in ages
            },
        )
        p.step()
        assert p.cycles == DECIDE

        if not self.folds:
            self.first, self.write_first = self._table(m, "firsts", FIRST)
            m.d.comb += [self.first.addr.eq(p.e.slot), self.first.en.eq(p.valid)]
        fresh, run = Signal(RUN), Signal(RUN)
        m.d.comb += run.eq(p.stored)
        written = {age: delayed(m, fresh, age, name="fresh") for age in ages}
        for age in reversed(ages):
            with m.If(getattr(p, f"near_{age}")):
                m.d.comb += run.eq(written[age])
        placed = Signal(16)  # so far
        run_id = Mux(run.one, p.next_id | (p.stays_id & p.e.df), Mux(run.fixed_id, p.stays_id, p.next_id))
        p.put(
            run=run,
            goes_on=p.same & run.open & run_id,
            size=p.latest.payload,
            placed=(placed + p.e.packet)[:16],
            used=(run.used + p.e.payload)[:17],
            length=(run.length + p.e.payload)[:16],
            packets=(run.packets + 1)[:16],
        )
        with m.If(p.valid):
            m.d.sync += placed.eq(p.placed)
        self._cut(p)

        e = p.e
        goes_on = p.goes_on & ~p.used[16]
        needs = p.wanted & ~goes_on
        starved = needs & ~self.buffer.valid
        starts = e.merge & ~goes_on & self.buffer.valid  # what can be merged is wanted
        m.d.comb += self.buffer.ready.eq(p.valid & needs)
        p.put(
            goes_on=goes_on,
            starved=starved,
            starts=starts,
            closes=p.ends | (goes_on & p.short),
            breaks=e.touch & p.run.open & ~goes_on & (e.packet | p.expired | e.flush),
            fetched=self.buffer.payload,
            fixed_id=Mux(p.run.one, p.stays_id, p.run.fixed_id),
        )
        self.starts = p.valid & p.starts
        self._cut(p)

        e, was = p.e, p.run
        changes = p.goes_on | e.merge | p.breaks
        if ages:  # it may be handed on as it is
            m.d.comb += fresh.eq(was)
        with m.If(p.goes_on):
            m.d.comb += [
                fresh.handle.eq(was.handle),
                fresh.one.eq(0),
                fresh.fixed_id.eq(p.fixed_id),
                fresh.length.eq(p.length),
                fresh.used.eq(p.used),
                fresh.packets.eq(p.packets),
            ]
        with m.Elif(e.merge if ages else 1):
            m.d.comb += [
                fresh.one.eq(1),
                fresh.fixed_id.eq(0),
                fresh.length.eq(e.length),
                fresh.used.eq(e.used),
                fresh.packets.eq(1),
                fresh.handle.eq(p.fetched),
            ]
        clean = Clean(m, self.slots)  # no run of before a reset is open
        m.d.comb += [
            self.ready.eq(clean.ready),
            fresh.open.eq(Mux(p.goes_on | p.starts, ~p.closes, was.open & ~p.breaks)),
            write.addr.eq(Mux(clean.ready, e.slot, clean.row)),
            write.en.eq(~clean.ready | (p.valid & e.touch & changes)),
            write.data.eq(fresh),
            write.data.open.eq(fresh.open & clean.ready),
        ]

    def _place(self, m: Module, p: PacedPipe) -> None:
        """Where the packet's bytes go."""
        e, was = p.e, p.run
        place = self.place
        m.d.sync += [
            self.place_valid.eq(p.valid & e.packet),
            place.last.eq(1),
            place.row.eq(Mux(p.goes_on, e.payload_row, e.row)),
            place.lane.eq(Mux(p.goes_on, e.payload_lane, e.lane)),
            place.length.eq(Mux(p.goes_on, e.payload, e.length)),
            place.discard.eq(~p.wanted | p.starved),
            place.release_row.eq(e.release_row),
            place.handle.eq(Mux(p.goes_on, was.handle, p.fetched)),
            place.offset.eq(Mux(p.goes_on, was.length, 0)),
        ]

    def _first(self, m: Module, p: PacedPipe) -> None:
        """What a frame's completion takes from its first packet."""
        if self.folds:
            self._first_words(m, p)
            return
        while p.cycles < DECIDE + (self.pace > 1):
            self._step(p)
        write = self.write_first
        m.d.comb += [write.addr.eq(p.e.slot), write.en.eq(p.valid & p.starts), write.data.eq(p.e.first)]

    def _first_words(self, m: Module, p: PacedPipe) -> None:
        """Each word is read when the event before, if it is six cycles ahead, has just written it."""
        m.submodules.firsts = rows = WordRows(shape=FIRST, slots=self.slots)
        assert p.cycles == END
        e = p.e  # in the same register from the seventh stage to the twelfth
        offers = [p.valid_at(stage) for stage in range(DECIDE, END)]
        offers += [delayed(m, p.valid, cycles, name="offers") for cycles in range(DECIDE + WORDS - END)]
        m.d.comb += [
            rows.reads.eq(Cat(p.valid_at(stage) for stage in range(END - WORDS - 1, END - 1))),
            rows.read_slot.eq(self.slot_of_first),
            rows.offers.eq(Cat(offers)),
            rows.write.eq(Cat(delayed(m, self.starts, cycles, name="starts") for cycles in range(WORDS)).any()),
            rows.write_slot.eq(e.slot),
            rows.data.eq(e.first.as_value()),
        ]
        p.put(first=rows.row)

    def _end(self, m: Module, p: PacedPipe) -> None:
        """What is complete."""
        while p.cycles < END - 1:
            self._step(p)
        if self.pace == 2:  # of other events, what is read in `END` and `gap` cycles later is in one register
            names = ("first", "run", "packets", "length", "goes_on", "breaks", "fetched", "fixed_id", "size", "placed")
            p.put(**{name: getattr(p, name) for name in names})
        while p.cycles < END + self.folds:
            self._step(p)
        self._count(m, p)
        breaks = p.valid & p.breaks
        for _ in range(self.gap):
            p.step()
        e = p.e
        complete = p.valid & e.packet & ~((p.goes_on | p.starts) & ~p.closes)
        if self.pace > 1:
            m.d.comb += self.ending_valid.eq(breaks | complete)
            self._fill(m, p, self.ending, p.valid)
            return
        m.d.comb += [self.done.eq(p.valid), self.broken_valid.eq(breaks), self.ending_valid.eq(complete)]
        self._fill(m, p, self.broken, Const(0, 1))
        self._fill(m, p, self.ending, Const(1, 1))

    def _fill(self, m: Module, p: PacedPipe, ending, own) -> None:
        """A run that was ended; or (`own`) what came of the event's packet."""
        e, run = p.e, p.run
        alone, adds = own & ~p.goes_on, own & p.goes_on
        first = Signal(FIRST)
        m.d.comb += [
            first.eq(Mux(alone, e.first, p.first)),
            ending.first.eq(first),
            ending.slow.eq(own & e.slow & ~p.starved),
            ending.claimed.eq(~own | (p.wanted & ~p.starved)),
            ending.handle.eq(Mux(alone, p.fetched, run.handle)),
            ending.packets.eq(Mux(alone, 1, Mux(adds, p.packets, run.packets))),
            ending.length.eq(Mux(alone, e.length, Mux(adds, p.length, run.length))),
            ending.placed.eq(p.placed),
            ending.merged.eq(~alone & (adds | ~run.one)),
            ending.gso_size.eq(p.size),
            ending.fixed_id.eq(Mux(adds, p.fixed_id, run.fixed_id)),
            ending.ends.eq(gate(own, e.ends)),
            ending.ip_status.eq(Mux(own, e.ip_status, Mux(first.ipv6, ChecksumStatus.NONE, ChecksumStatus.GOOD))),
            ending.l4_status.eq(Mux(own, e.l4_status, ChecksumStatus.GOOD)),
        ]
        with m.If(own & p.starved):
            m.d.comb += ending.reason.eq(RxReason.NO_BUFFER)
        with m.Elif(own):
            m.d.comb += ending.reason.eq(e.reason)  # also with `slow`: who steers may have no slow path

    def _count(self, m: Module, p: PacedPipe) -> None:
        """Packets in open runs, and open runs."""
        opens, ends, stayed, packets = Signal(), Signal(), Signal(), Signal(16)
        more = Signal(signed(17), reset_less=True)
        closes = p.valid & (p.breaks | (p.goes_on & p.closes))
        stays = p.valid & (p.goes_on | p.starts) & ~p.closes
        m.d.sync += [
            opens.eq(p.valid & p.starts & ~p.closes),
            ends.eq(closes),
            stayed.eq(stays),
            packets.eq(Mux(closes, p.run.packets, 0)),
            more.eq(stayed - packets),
            self.open.eq(self.open + opens - ends),
            self.held.eq(self.held + more),
        ]

    def _step(self, p: PacedPipe) -> None:
        p.step()
        if p.cycles == DECIDE + 1 and not self.folds:
            p.put(first=self.first.data)

    def _cut(self, p: PacedPipe) -> None:
        """A register in the loop, where there is time for it."""
        if self.pace >= 6:
            self._step(p)


def _latest(m: Module, e):
    """An event's row of `LATEST`."""
    row = Signal(LATEST)
    values = {
        "following": e.following,
        "id": e.id,
        "payload": e.payload,
        "time": e.now,
        "vnet": e.first.vnet,
        "origin": e.origin,
        "options": e.options,
        "tos": e.tos,
        "rows": e.rows,
        "ipv6": e.first.ipv6,
    }
    m.d.comb += [row[name].eq(value) for name, value in values.items()]
    return row
