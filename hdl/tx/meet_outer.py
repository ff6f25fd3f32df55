"""The two halves of an outer header's record: what its frame has in common, and what is the packet's own."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.tx.layouts import OuterConstants, OuterPacket, OuterRecord


class MeetOuter(wiring.Component):
    """A packet's own values beside its frame's constants.

    ::

        packet     │ 0 │ 1 │ 2, last │ 0, dropped, last │ 0, last │
        constants  │ frame 0         │ frame 1          │ frame 2 │
        o          │ 0 │ 1 │ 2       │                  │ 0       │

    Packets that are not `alive` end their frame but leave no record.

    Ports: streams `packet`, `constants` and `o`. Latency: none. Throughput: one record a cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "packet": In(stream.Signature(OuterPacket)),
                "constants": In(stream.Signature(OuterConstants)),
                "o": Out(stream.Signature(OuterRecord)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        packet, constants, o = self.packet.payload, self.constants.payload, self.o.payload
        both = self.packet.valid & self.constants.valid
        m.d.comb += [
            self.o.valid.eq(both & packet.alive),
            self.packet.ready.eq(self.constants.valid & (self.o.ready | ~packet.alive)),
            self.constants.ready.eq(self.packet.valid & packet.last & (self.o.ready | ~packet.alive)),
            o.profile.eq(constants.profile),
            o.words.eq(packet.words),
            o.values.tos.eq(constants.tos),
            o.values.flow_port.eq(constants.flow_port),
            o.values.stt_mss.eq(gate(packet.partial, constants.gso_size)),
            o.values.stt_tci.eq(constants.stt_tci),
        ]
        m.d.comb += [getattr(o.values, name).eq(getattr(packet.values, name)) for name in packet.values.shape().members]
        for field, count in (("next_hop", 3), ("key", 4), ("remote", 8)):
            m.d.comb += [
                getattr(o.values, field)[i].eq(getattr(constants, field)[16 * (count - 1 - i) : 16 * (count - i)])
                for i in range(count)
            ]
        return m
