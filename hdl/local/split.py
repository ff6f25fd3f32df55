"""Which frames stay on this card."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.counters import MAXIMUM_FRAME, MINIMUM_FRAME
from hdl.registers.tables import (
    LOCAL_FIELDS,
    LOCAL_TABLE,
    LOCAL_VPORT_FIELDS,
    LOCAL_VPORTS,
    LOCAL_WILDCARDS,
    VNET_BITS,
    VNETS,
    VPORT_BITS,
    VPORTS,
    Table,
)
from hdl.stream.beat import FrameMeta, host_beat, words
from hdl.stream.pipe import Pipe
from hdl.stream.small_fifo import SmallFifo
from hdl.table.exact import PROBES, ExactMatch
from hdl.table.lookup import Lookup
from hdl.table.rows import VPORT_ROW, row_layout, table_write

LOCAL_ROW = row_layout(LOCAL_FIELDS)
LOCAL_VPORT_ROW = row_layout(LOCAL_VPORT_FIELDS)


class Target(data.Struct):
    """Where a frame goes."""

    local: 1  # to `vport`, which is of `vnet` as the sender is; else on to the transmit path
    vport: VPORT_BITS
    vnet: VNET_BITS
    receive_mtu: 17  # of `vport`


class Request(data.Struct):
    """A frame's first beat, as far as it decides."""

    meta: FrameMeta
    mac: 48  # destination, first byte most significant


def local_beat(width: int) -> data.StructLayout:
    """A beat of a frame that stays here; `target` counts where `meta` does, on the first beat."""
    return data.StructLayout({**host_beat(width).members, "target": Target})


class Split(wiring.Component):
    """Every frame to the wire's path, or to another vport.

    ::

        i ─┬─ beats ─────────────────────────────────────────────────────────────────┬─ wire
           └─ first beat ── VPORT ── LOCAL: exact, wildcards ── VPORT, LOCAL: vports ┴─ local

    Decided once, by a frame's first beat: (vnet of the sender, destination MAC) to a vport. A vport of another vnet is
    none. What is shorter or longer than a frame may be, or of no vport, goes to the wire's path, which knows what to
    call it. Both outputs keep the order of the input.

    Ports: streams `i` (`host_beat`), `wire` (`host_beat`) and `local` (`local_beat`); `table` (whole rows) and `hold`,
    from `TableWriter`: no lookup begins while `hold` is 1, and those under way are over `latency` cycles later.
    Latency: `latency` + 2 cycles. Throughput: a beat a cycle, a frame every `PROBES[width]` cycles. Back-pressure: of
    either output, on the input.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    def __init__(self, width: int):
        self.width = width
        self.exact = ExactMatch(LOCAL_TABLE, probes=PROBES[width])
        self.latency = self.exact.latency + 4
        super().__init__(
            {
                "i": In(stream.Signature(host_beat(width))),
                "wire": Out(stream.Signature(host_beat(width))),
                "local": Out(stream.Signature(local_beat(width))),
                "table": In(table_write(width)),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self.width
        m.submodules.exact = exact = self.exact
        m.submodules.lookup = lookup = Lookup(record=FrameMeta, answer=Target, pace=PROBES[width], latency=self.latency)
        row = data.StructLayout({"data": 8 * width, "last": 1})
        m.submodules.beats = beats = SmallFifo(shape=row, depth=32)

        # -- in
        first, mac = Signal(init=1), words(self.i.p.data, 3)
        request = Signal(Request)
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(beats.room & (~first | lookup.i.ready)),
            lookup.i.valid.eq(self.i.valid & beats.room & first),
            lookup.i.payload.eq(self.i.p.meta),
            lookup.hold.eq(self.hold),
            beats.reserve.eq(taken),
            beats.write.eq(taken),
            beats.i.data.eq(self.i.p.data),
            beats.i.last.eq(self.i.p.last),
            request.meta.eq(self.i.p.meta),
            *(request.mac[16 * (2 - n) : 16 * (3 - n)].eq(word) for n, word in enumerate(mac)),
        ]
        with m.If(taken):
            m.d.sync += first.eq(self.i.p.last)

        # -- decide
        pipe = Pipe(m, lookup.start, vport=request.meta.vport, length=request.meta.length, mac=request.mac)
        pipe.step()
        vnets = self._memory(m, "vnets", VPORT_ROW, VPORTS, self.table.valid & (self.table.table == Table.VPORT))
        sender = self._row(m, vnets, pipe.vport)
        pipe.put(known=sender.valid & (pipe.length >= MINIMUM_FRAME) & (pipe.length <= MAXIMUM_FRAME), vnet=sender.vnet)
        pipe.step()
        assert max(LOCAL_TABLE.places, VNETS, VPORTS) <= LOCAL_WILDCARDS
        assert (LOCAL_WILDCARDS, LOCAL_VPORTS) == (1 << 8, 2 << 8)
        write_exact, write_wildcard, write_vport = (
            self.table.valid & (self.table.table == Table.LOCAL) & (self.table.row[8:10] == part) for part in range(3)
        )
        m.d.comb += [
            exact.valid.eq(pipe.valid),
            exact.key.vnet.eq(pipe.vnet),
            exact.key.mac.eq(pipe.mac),
            exact.write.eq(write_exact),
            exact.row.eq(self.table.row),
            exact.entry.eq(self.table.data[: exact.entry.shape().size]),
        ]
        wildcards = self._memory(m, "wildcards", LOCAL_ROW, VNETS, write_wildcard)
        pipe.put(wildcard=self._row(m, wildcards, pipe.vnet))
        for _ in range(exact.latency):
            pipe.step()
        pipe.put(
            named=pipe.known & Mux(exact.hit, exact.value.local, pipe.wildcard.valid & pipe.wildcard.local),
            to=Mux(exact.hit, exact.value.vport, pipe.wildcard.vport),
        )
        pipe.step()
        takes = self._memory(m, "takes", LOCAL_VPORT_ROW, VPORTS, write_vport)
        target = self._row(m, vnets, pipe.to)
        pipe.put(same=target.valid & (target.vnet == pipe.vnet), receive_mtu=self._row(m, takes, pipe.to).receive_mtu)
        pipe.step()
        assert pipe.cycles == self.latency
        m.d.comb += [
            lookup.done.eq(pipe.valid),
            lookup.answer.local.eq(pipe.named & pipe.same),
            lookup.answer.vport.eq(pipe.to),
            lookup.answer.vnet.eq(pipe.vnet),
            lookup.answer.receive_mtu.eq(pipe.receive_mtu),
        ]

        # -- out: a frame's answer waits for its last beat
        beat, found = beats.o.p, lookup.o.p
        local = found.answer.local
        ready = lookup.o.valid & Mux(local, self.local.ready, self.wire.ready)
        m.d.comb += [
            self.wire.valid.eq(beats.o.valid & lookup.o.valid & ~local),
            self.local.valid.eq(beats.o.valid & lookup.o.valid & local),
            beats.o.ready.eq(ready),
            lookup.o.ready.eq(beats.o.valid & beat.last & ready),
            *(o.p.data.eq(beat.data) for o in (self.wire, self.local)),
            *(o.p.last.eq(beat.last) for o in (self.wire, self.local)),
            *(o.p.meta.eq(found.record) for o in (self.wire, self.local)),
            self.local.p.target.eq(found.answer),
        ]
        return m

    def _memory(self, m: Module, name: str, shape, rows: int, write) -> memory.Memory:
        """A table, small enough for distributed RAM, that takes the row on `table` with `write`."""
        m.submodules[name] = table = memory.Memory(shape=shape, depth=rows, init=[])
        port = table.write_port()
        m.d.comb += [port.en.eq(write), port.addr.eq(self.table.row), port.data.eq(self.table.data)]
        return table

    def _row(self, m: Module, table: memory.Memory, address):
        """What lies there, in the same cycle."""
        port = table.read_port(domain="comb")
        m.d.comb += port.addr.eq(address)
        return port.data
