"""The last step: a frame is handed up when all of its bytes are in host memory, and counted."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.receive import RxCounter, RxReason
from hdl.rx.layouts import Delivery
from hdl.rx.slots.clean import Clean


class Deliver(wiring.Component):
    """Hold each delivery back until the placements in front of it are done.

    ::

        i ───────────────────────── o            done - placed >= 0, modulo 2**16
        └── compare ── register ────┘
                          └── count

    Ports: streams `i` and `o` (`Delivery`); `done_stt`, `done_tcp` (see `Place`); `counted`, `index`, `amount`: what
    each delivery that is taken counts, a cycle later: its packets under its reason, or as delivered or slow; `frame`:
    a frame was delivered.
    Latency: 1 cycle where nothing is waited for. Throughput: one a cycle; one at a time, every second, and what is
    going to be offered at `i` has to stand there a cycle before: then there is no latency. Back-pressure: holds `i`.

    Parameters
    ----------
    one_at_a_time : deliveries come far apart, and no register is needed for them
    """

    def __init__(self, *, one_at_a_time: bool = False) -> None:
        self.one_at_a_time = one_at_a_time
        super().__init__(
            {
                "i": In(stream.Signature(Delivery)),
                "o": Out(stream.Signature(Delivery)),
                "done_stt": In(16),
                "done_tcp": In(16),
                "counted": Out(1),
                "index": Out(6),
                "amount": Out(16),
                "frame": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        def done(delivery):
            left = (Mux(delivery.stt, self.done_stt, self.done_tcp) - delivery.placed)[:16]
            return ~left[15]

        taken = self.o.valid & self.o.ready
        clear = Signal()  # nothing in front of what `o` shows is missing
        if self.one_at_a_time:
            m.d.comb += [
                self.o.valid.eq(self.i.valid & clear),
                self.o.payload.eq(self.i.payload),
                self.i.ready.eq(self.o.ready & clear),
            ]
            m.d.sync += clear.eq(done(self.i.p) & ~taken)
        else:
            held, move, shown = Signal(), Signal(), Signal(Delivery, reset_less=True)
            m.d.comb += [
                self.o.valid.eq(held & clear),
                self.o.payload.eq(shown),
                move.eq(~held | taken),
                self.i.ready.eq(move),
            ]
            with m.If(move):
                m.d.sync += [held.eq(self.i.valid), shown.eq(self.i.p), clear.eq(done(self.i.p))]
            with m.Else():
                m.d.sync += clear.eq(clear | done(shown))

        shown = self.o.p
        lost = shown.reason != RxReason.NONE
        m.d.sync += [
            self.counted.eq(taken),
            self.amount.eq(shown.packets),
            self.index.eq(
                Mux(lost, shown.reason, Mux(shown.slow, RxCounter.PACKETS_SLOW, RxCounter.PACKETS_DELIVERED))
            ),
            self.frame.eq(taken & ~lost & ~shown.slow),
        ]
        return m


class RxCounters(wiring.Component):
    """A 32-bit counter for each `RxReason` and each `RxCounter`; they wrap.

    ::

        index ── memory ── register ── + amount ── written back, and where they come close, kept for those behind

    Ports: `ready`: it counts; 0 for 64 cycles after a reset, until all counters are 0; `counted`, `index`, `amount`;
    `packet`, `frame` count one each; `select`, `value`: the counter `select`, four cycles later.
    Throughput: one count a cycle; one at a time, every fourth.

    Parameters
    ----------
    one_at_a_time : counts come at least four cycles apart
    """

    def __init__(self, *, one_at_a_time: bool = False) -> None:
        self.one_at_a_time = one_at_a_time
        super().__init__(
            {
                "ready": Out(1),
                "counted": In(1),
                "index": In(6),
                "amount": In(16),
                "packet": In(1),
                "frame": In(1),
                "select": In(6),
                "value": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = ram = memory.Memory(
            shape=32, depth=64, init=[], attrs={"ram_style": "block", "no_rw_check": 1}
        )
        write_port, read_port, select_port = ram.write_port(), ram.read_port(), ram.read_port()
        stages = [(self.counted, self.index, self.amount)]
        for age in range(3):
            valid, index, amount = Signal(name=f"valid_{age}"), Signal(6, name=f"index_{age}"), Signal(16)
            m.d.sync += [valid.eq(stages[-1][0]), index.eq(stages[-1][1]), amount.eq(stages[-1][2])]
            stages.append((valid, index, amount))
        stored, newest, total = Signal(32), Signal(32), Signal(32)
        _, index, amount = stages[2]
        m.d.comb += [read_port.addr.eq(self.index), newest.eq(stored)]
        m.d.sync += [stored.eq(read_port.data), total.eq(newest + amount)]
        if not self.one_at_a_time:
            # what the last three counts wrote is not in what the memory gave
            written, behind = [total], [stages[3]]
            for age in range(2):
                valid, at = Signal(name=f"gone_{age}"), Signal(6, name=f"gone_at_{age}")
                value = Signal(32, name=f"written_{age}")
                m.d.sync += [valid.eq(behind[-1][0]), at.eq(behind[-1][1]), value.eq(written[-1])]
                behind.append((valid, at, None))
                written.append(value)
            for (valid, at, _), value in reversed(list(zip(behind, written, strict=True))):
                with m.If(valid & (at == index)):
                    m.d.comb += newest.eq(value)
        clean = Clean(m, 64)
        clean.write(m, write_port, stages[3][0], stages[3][1], total)
        m.d.comb += [self.ready.eq(clean.ready), select_port.addr.eq(self.select)]
        packets, frames, selected = Signal(32), Signal(32), Signal(6)
        packet, frame = Signal(), Signal()
        m.d.sync += [
            packet.eq(self.packet),
            frame.eq(self.frame),
            packets.eq(packets + packet),
            frames.eq(frames + frame),
            selected.eq(self.select),
            self.value.eq(
                Mux(
                    selected == RxCounter.PACKETS_IN,
                    packets,
                    Mux(selected == RxCounter.FRAMES_DELIVERED, frames, select_port.data),
                )
            ),
        ]
        return m
