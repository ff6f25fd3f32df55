"""Where a frame goes: the tables behind one lookup stream."""

from amaranth import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.tables import EXACT_TABLE, PROFILE_ROWS, TUNNEL_ROWS, VNETS, VPORT_BITS, VPORTS, Table
from hdl.stream.paced_fifo import record_fifo
from hdl.stream.pipe import Pipe
from hdl.table.exact import PROBES, ExactMatch
from hdl.table.memory import table_memory
from hdl.table.rows import EXACT_ROW, PROFILE_ROW, ROUTE_ROW, TUNNEL_ROW, VPORT_ROW, table_write


class RouteRequest(data.Struct):
    """Whose frame, and to whom."""

    vport: VPORT_BITS
    mac: 48  # inner destination MAC, first byte most significant


class Route(data.Struct):
    """What the tables say. `tunnel` and `profile` mean something only where the frame is not to be dropped."""

    known_vport: 1
    known_route: 1
    drop: 1  # policy: the entry says drop
    index: 7  # of the tunnel
    tunnel: TUNNEL_ROW
    profile: PROFILE_ROW


class ForwardingTables(wiring.Component):
    """vport to vnet, (vnet, MAC) to a tunnel, the tunnel's row and its profile.

    ::

        request ── VPORT ── hash ── EXACT, WILDCARD ── TUNNEL ── PROFILE ── response

    The on-chip tables: 64 vports, 64 exact entries (cuckoo), a wildcard a vnet, 64 tunnels, 16 profiles. A larger table
    takes the place of this component: it may answer as late as it likes, but in order.

    Ports: streams `request` and `response`; `table` (whole rows) and `hold`, from `TableWriter`: no lookup begins while
    `hold` is 1, and those under way are over `latency` cycles later.
    Latency: `latency` cycles and those of the queue behind. Throughput: a request every `PACE[width]` cycles, which the
    user sees to. Back-pressure: on `response`, holds `request`.
    """

    def __init__(self, *, width: int, depth: int = 64):
        self.width, self.depth = width, depth
        self.exact = ExactMatch(EXACT_TABLE, probes=PROBES[width])
        self.latency = self.exact.latency + 8
        super().__init__(
            {
                "request": In(stream.Signature(RouteRequest)),
                "response": Out(stream.Signature(Route)),
                "table": In(table_write(width)),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipe = Pipe(
            m, self.request.valid & self.request.ready, vport=self.request.payload.vport, mac=self.request.payload.mac
        )

        def read(name: str, table: Table, shape, rows: int, address):
            return table_memory(m, name, write=self.table, table=table, shape=shape, rows=rows, address=address)

        pipe.step()
        vport = read("vports", Table.VPORT, VPORT_ROW, VPORTS, pipe.vport)
        pipe.step()
        pipe.put(known_vport=vport.valid, vnet=vport.vnet)
        pipe.step()

        m.submodules.exact = exact = self.exact
        m.d.comb += [
            exact.valid.eq(pipe.valid),
            exact.key.vnet.eq(pipe.vnet),
            exact.key.mac.eq(pipe.mac),
            exact.write.eq(self.table.valid & (self.table.table == Table.EXACT)),
            exact.row.eq(self.table.row),
            exact.entry.eq(self.table.data[: EXACT_ROW.size]),
        ]
        wildcard = read("wildcards", Table.WILDCARD, ROUTE_ROW, VNETS, pipe.vnet)
        pipe.step()
        pipe.put(wildcard=wildcard)
        for _ in range(exact.latency - 1):
            pipe.step()
        pipe.put(
            known_route=exact.hit | pipe.wildcard.valid,
            drop=Mux(exact.hit, exact.value.drop, pipe.wildcard.drop),
            index=Mux(exact.hit, exact.value.tunnel, pipe.wildcard.tunnel),
        )
        pipe.step()

        tunnel = read("tunnels", Table.TUNNEL, TUNNEL_ROW, TUNNEL_ROWS, pipe.index)
        pipe.step()
        pipe.put(tunnel=tunnel)
        pipe.step()
        profile = read("profiles", Table.PROFILE, PROFILE_ROW, PROFILE_ROWS, pipe.tunnel.profile)
        pipe.step()
        pipe.put(profile=profile)
        pipe.step()

        assert pipe.cycles == self.latency
        m.submodules.answers = answers = record_fifo(
            self.width, shape=Route, depth=self.depth, margin=pipe.cycles + 6, paced=True
        )
        m.d.comb += [
            self.request.ready.eq(answers.space & ~self.hold),
            answers.write.eq(pipe.valid),
            *[
                getattr(answers.i, name).eq(getattr(pipe, name))
                for name in ("known_vport", "known_route", "drop", "index", "tunnel", "profile")
            ],
        ]
        wiring.connect(m, wiring.flipped(self.response), answers.o)
        return m
