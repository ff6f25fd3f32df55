"""Placements in the order in which their packets came."""

from amaranth import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.rx.layouts import PlaceRecord


class Order(wiring.Component):
    """Puts the records of two engines back into the order of their packets, which is that of their rows in the ring.

    ::

        order    stt     tcp   tcp   stt              one bit a packet
        stt      s s s               s, last
        tcp              t     t
        o        s s s   t     t     s

    Ports: streams `order`, `stt`, `tcp` and `o`; `from_stt` says whose `o` is.
    Latency: none. Throughput: one record a cycle. Back-pressure: a record waits until its packet's turn has come.
    """

    def __init__(self) -> None:
        record = stream.Signature(PlaceRecord)
        super().__init__(
            {
                "order": In(stream.Signature(1)),
                "stt": In(record),
                "tcp": In(record),
                "o": Out(record),
                "from_stt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        turn, stt, tcp = self.order, self.stt, self.tcp
        m.d.comb += [
            self.o.valid.eq(turn.valid & Mux(turn.payload, stt.valid, tcp.valid)),
            self.o.payload.eq(Mux(turn.payload, stt.payload, tcp.payload)),
            self.from_stt.eq(turn.payload),
            stt.ready.eq(turn.valid & turn.payload & self.o.ready),
            tcp.ready.eq(turn.valid & ~turn.payload & self.o.ready),
            turn.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
        ]
        return m
