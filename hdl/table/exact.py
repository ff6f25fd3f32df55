"""The exact-match table: a cuckoo hash in block RAM, filled by the driver."""

from amaranth import Cat, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hdl.registers.tables import EXACT_HASH_MASKS, EXACT_ROWS, EXACT_WAYS, VNET_BITS
from hdl.stream.pipe import Pipe
from hdl.table.rows import EXACT_ROW, ROUTE_ROW, TABLE_MEMORY


class ExactMatch(wiring.Component):
    """(vnet, destination MAC) to a route.

    ::

        key ─┬─ hash 0 ── way 0 ── = ─┐
             ├─ hash 1 ── way 1 ── = ─┼─ OR ── hit, route
             ├─ hash 2 ── way 2 ── = ─┤
             └─ hash 3 ── way 3 ── = ─┘

    A key lies in at most one way, at the row that the way's hash gives (`hdl.registers.tables.exact_row`).

    Ports: `valid`, `vnet`, `mac` in; `done`, `hit`, `route` out; `write`, `row` (way * rows + row), `entry`.
    Latency: `latency` cycles. Throughput: one key a cycle. No back-pressure. No row is written while a lookup is under
    way.
    """

    latency = 6

    def __init__(self):
        super().__init__(
            {
                "valid": In(1),
                "vnet": In(VNET_BITS),
                "mac": In(48),
                "done": Out(1),
                "hit": Out(1),
                "route": Out(ROUTE_ROW),
                "write": In(1),
                "row": In(range(EXACT_WAYS * EXACT_ROWS)),
                "entry": In(EXACT_ROW),
            }
        )

    def elaborate(self, platform):
        m = Module()
        key_width = VNET_BITS + 48
        way_bits = (EXACT_ROWS - 1).bit_length()

        pipe = Pipe(m, self.valid, key=Cat(self.mac, self.vnet))
        pipe.put(
            **{
                f"row{way}": Cat((pipe.key & mask).xor() for mask in masks)
                for way, masks in enumerate(EXACT_HASH_MASKS)
            }
        )
        pipe.step()
        reads = []
        for way in range(EXACT_WAYS):
            m.submodules[f"way{way}"] = mem = memory.Memory(
                shape=EXACT_ROW, depth=EXACT_ROWS, init=[], attrs=TABLE_MEMORY
            )
            write_port, read_port = mem.write_port(), mem.read_port()
            m.d.comb += [
                write_port.addr.eq(self.row[:way_bits]),
                write_port.data.eq(self.entry),
                write_port.en.eq(self.write & (self.row[way_bits:] == way)),
                read_port.addr.eq(getattr(pipe, f"row{way}")),
            ]
            reads.append(read_port.data)
        pipe.step()
        pipe.put(**{f"entry{way}": entry for way, entry in enumerate(reads)})
        pipe.step()

        # 54 bits are compared in two steps: groups of eight bits, then all groups
        for way in range(EXACT_WAYS):
            entry = getattr(pipe, f"entry{way}")
            differ = Cat(entry.mac, entry.vnet) ^ pipe.key
            groups = Cat(~differ[at : min(at + 8, key_width)].any() for at in range(0, key_width, 8))
            pipe.put(**{f"same{way}": Cat(groups, entry.valid)})
        pipe.step()
        pipe.put(**{f"hit{way}": getattr(pipe, f"same{way}").all() for way in range(EXACT_WAYS)})
        pipe.step()
        route = Signal(ROUTE_ROW)
        for way in range(EXACT_WAYS):
            entry = getattr(pipe, f"entry{way}")
            with m.If(getattr(pipe, f"hit{way}")):
                m.d.comb += [route.drop.eq(entry.drop), route.tunnel.eq(entry.tunnel)]
        m.d.comb += route.valid.eq(Cat(getattr(pipe, f"hit{way}") for way in range(EXACT_WAYS)).any())
        pipe.put(route=route)
        pipe.step()
        assert pipe.cycles == self.latency
        m.d.comb += [self.done.eq(pipe.valid), self.hit.eq(pipe.route.valid), self.route.eq(pipe.route)]
        return m
