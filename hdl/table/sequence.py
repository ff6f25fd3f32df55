"""GRE sequence numbers: one counter a tunnel (RFC 2890)."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.tables import TUNNEL_BITS, TUNNEL_ROWS
from hdl.stream.pipe import Pipe


class SequenceNumbers(wiring.Component):
    """The next number of a tunnel, counted up by one for each packet.

    ::

        index ── memory ── register ─┬─ newest of: memory, the last packets' numbers ── number
                                     └─ + 1 ── written back, and kept for packets close behind

    Ports: `valid`, `index` in; `number` out `latency` cycles later; `write`, `row`, `next` (the driver's; it waits
    for a cycle that no packet needs, and must not come closer than 32 cycles to the next).
    Throughput: one packet a cycle, also of one tunnel.
    """

    latency = 3

    def __init__(self):
        super().__init__(
            {
                "valid": In(1),
                "index": In(TUNNEL_BITS),
                "number": Out(32),
                "write": In(1),
                "row": In(TUNNEL_BITS),
                "next": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = mem = memory.Memory(
            shape=32,
            depth=TUNNEL_ROWS,
            init=[],
            # what is read in the cycle of a write is not used: `following` is newer
            attrs={"ram_style": "block", "no_rw_check": 1},
        )
        write_port, read_port = mem.write_port(), mem.read_port()

        pipe = Pipe(m, self.valid, index=self.index)
        m.d.comb += read_port.addr.eq(pipe.index)
        # The last three packets' numbers are not in what the memory gave: which of them are of the same tunnel?
        history = [(self.valid, self.index)]
        for age in range(3):
            valid, index = Signal(name=f"valid_before_{age}"), Signal(TUNNEL_BITS, name=f"index_before_{age}")
            m.d.sync += [valid.eq(history[-1][0]), index.eq(history[-1][1])]
            history.append((valid, index))
        pipe.put(**{f"same{age}": history[age + 1][0] & (history[age + 1][1] == self.index) for age in range(3)})
        pipe.step()
        pipe.put(stored=read_port.data)
        pipe.step()
        following = [Signal(32, name=f"following_{age}") for age in range(3)]
        newest = Mux(
            pipe.same0, following[0], Mux(pipe.same1, following[1], Mux(pipe.same2, following[2], pipe.stored))
        )
        m.d.sync += [
            following[0].eq(newest + 1),
            following[1].eq(following[0]),
            following[2].eq(following[1]),
        ]
        pipe.put(newest=newest)
        pipe.step()
        assert pipe.cycles == self.latency
        pending = Signal()
        with m.If(self.write):
            m.d.sync += pending.eq(1)
        with m.Elif(~pipe.valid):
            m.d.sync += pending.eq(0)
        m.d.comb += [
            self.number.eq(pipe.newest),
            write_port.en.eq(pipe.valid | pending),
            write_port.addr.eq(Mux(pipe.valid, pipe.index, self.row)),
            write_port.data.eq(Mux(pipe.valid, following[0], self.next)),
        ]
        return m
