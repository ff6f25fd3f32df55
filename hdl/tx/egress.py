"""The way out: three parts of a packet read, patched, and joined."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import NicConfig
from hdl.stream.beat import wire_beat
from hdl.stream.join import Join
from hdl.tx.layouts import HeaderRecord, OuterRecord, PayloadRecord, header_beat
from hdl.tx.read_payload import PayloadRead
from hdl.tx.replay_header import HeaderReplay
from hdl.tx.replay_outer import OuterReplay, template_row, template_rows


class Egress(wiring.Component):
    """Make packets from records.

    ::

        outer   ──> OuterReplay ───┐
        header  ──> HeaderReplay ──┴─ Join ──┐
        payload ──> PayloadRead ─────────────┴─ Join ──> o

    Ports: record streams `outer`, `header`, `payload` (a packet has one each of the first two; one of the third where
    its header record says so; discarded packets have no outer record); ring inputs `header_write`/`header_i`/
    `header_space` and `payload_write`/`payload_i`/`payload_space`; `template_write`/`template_row`/`template_i`;
    stream `o` of `wire_beat`.

    Latency: 26 cycles from records to beat at 8 bytes, 27 at 64. Throughput: one beat a cycle. Once a packet has
    begun, no cycle is lost within it where records wait and `o` is ready.

    Parameters
    ----------
    config : width, and the rings' sizes
    header_margin, payload_margin : rows of the rings that must be free for `header_space` and `payload_space`
    """

    def __init__(self, config: NicConfig, *, header_margin: int, payload_margin: int):
        self.config = config
        self.header_margin, self.payload_margin = header_margin, payload_margin
        width = config.width
        super().__init__(
            {
                "outer": In(stream.Signature(OuterRecord)),
                "header": In(stream.Signature(HeaderRecord)),
                "payload": In(stream.Signature(PayloadRecord)),
                "header_write": In(1),
                "header_i": In(header_beat(width)),
                "header_space": Out(1),
                "payload_write": In(1),
                "payload_i": In(8 * width),
                "payload_space": Out(1),
                "template_write": In(1),
                "template_row": In(range(template_rows(width))),
                "template_i": In(template_row(width)),
                "o": Out(stream.Signature(wire_beat(width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.outer = outer = OuterReplay(config)
        m.submodules.header = header = HeaderReplay(config, margin=self.header_margin)
        m.submodules.payload = payload = PayloadRead(config, margin=self.payload_margin)
        m.submodules.headers = headers = Join(config.width, always=True)
        m.submodules.packet = packet = Join(config.width)

        wiring.connect(m, wiring.flipped(self.outer), outer.record)
        wiring.connect(m, wiring.flipped(self.header), header.record)
        wiring.connect(m, wiring.flipped(self.payload), payload.record)
        wiring.connect(m, outer.o, headers.first)
        wiring.connect(m, header.o, headers.second)
        wiring.connect(m, headers.o, packet.first)
        wiring.connect(m, payload.o, packet.second)
        m.d.comb += [
            header.write.eq(self.header_write),
            header.i.eq(self.header_i),
            self.header_space.eq(header.space),
            payload.write.eq(self.payload_write),
            payload.i.eq(self.payload_i),
            self.payload_space.eq(payload.space),
            outer.write.eq(self.template_write),
            outer.row.eq(self.template_row),
            outer.i.eq(self.template_i),
            self.o.valid.eq(packet.o.valid),
            packet.o.ready.eq(self.o.ready),
            # the engines fill in `bytes` on every beat, so it is right where a packet goes on, too
            *(self.o.p[name].eq(packet.o.p[name]) for name in ("data", "bytes", "last")),
        ]
        return m
