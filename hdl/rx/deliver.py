"""The last step: a frame is handed up when all of its bytes are in host memory, and counted."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.receive import RxCounter, RxReason
from hdl.rx.layouts import Delivery


class Deliver(wiring.Component):
    """Hold each delivery back until the placements in front of it are done.

    ::

        i ── register, compare ── register ── o            done - placed >= 0, modulo 2**16
                                     └── count

    Ports: streams `i` and `o` (`Delivery`); `done_stt`, `done_tcp` (see `Place`); `counted`, `index`, `amount`: what
    each delivery that is taken counts, a cycle later: its packets under its reason, or as delivered or slow; `frame`:
    a frame was delivered.
    Latency: 2 cycles where nothing is waited for. Throughput: one a cycle. Back-pressure: holds `i`.
    """

    def __init__(self) -> None:
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
        first, valid = Signal(Delivery, reset_less=True), Signal()
        second = self.o.p
        done_stt, done_tcp = Signal(16), Signal(16)
        m.d.sync += [done_stt.eq(self.done_stt), done_tcp.eq(self.done_tcp)]

        def done(delivery):
            left = (Mux(delivery.stt, done_stt, done_tcp) - delivery.placed)[:16]
            return ~left[15]

        held, clear = Signal(), Signal()  # the second register holds a delivery; nothing in front of it is missing
        move = Signal()
        m.d.comb += [
            self.o.valid.eq(held & clear),
            move.eq(~held | (clear & self.o.ready)),
            self.i.ready.eq(~valid | move),
        ]
        with m.If(self.i.ready):
            m.d.sync += [valid.eq(self.i.valid), first.eq(self.i.p)]
        with m.If(move):
            m.d.sync += [held.eq(valid), second.eq(first), clear.eq(done(first))]
        with m.Else():
            m.d.sync += clear.eq(clear | done(second))

        taken = self.o.valid & self.o.ready
        lost = second.reason != RxReason.NONE
        m.d.sync += [
            self.counted.eq(taken),
            self.amount.eq(second.packets),
            self.index.eq(
                Mux(lost, second.reason, Mux(second.slow, RxCounter.PACKETS_SLOW, RxCounter.PACKETS_DELIVERED))
            ),
            self.frame.eq(taken & ~lost & ~second.slow),
        ]
        return m


class RxCounters(wiring.Component):
    """A 32-bit counter for each `RxReason` and each `RxCounter`; they wrap.

    ::

        index ── memory ── register ── + amount ── written back, and kept for those close behind

    Ports: `counted`, `index`, `amount`; `packet`, `frame` count one each; `select`, `value`: the counter `select`, four
    cycles later. Throughput: one count a cycle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
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
        stored = Signal(32)
        _, index, amount = stages[2]
        newest = stored
        # what the last three counts wrote is not in what the memory gave
        written = [Signal(32, name=f"written_{age}") for age in range(3)]
        behind = [stages[3]]
        for age in range(2):
            valid, at = Signal(name=f"gone_{age}"), Signal(6, name=f"gone_at_{age}")
            m.d.sync += [valid.eq(behind[-1][0]), at.eq(behind[-1][1])]
            behind.append((valid, at, None))
        for (valid, at, _), value in reversed(list(zip(behind, written, strict=True))):
            newest = Mux(valid & (at == index), value, newest)
        m.d.comb += read_port.addr.eq(self.index)
        m.d.sync += [
            stored.eq(read_port.data),
            written[0].eq(newest + amount),
            written[1].eq(written[0]),
            written[2].eq(written[1]),
        ]
        m.d.comb += [
            write_port.en.eq(stages[3][0]),
            write_port.addr.eq(stages[3][1]),
            write_port.data.eq(written[0]),
            select_port.addr.eq(self.select),
        ]
        packets, frames, selected = Signal(32), Signal(32), Signal(6)
        m.d.sync += [
            packets.eq(packets + self.packet),
            frames.eq(frames + self.frame),
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
