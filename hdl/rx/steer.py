"""To whom a frame goes: vports, and the queue of one."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.registers.receive import RX_REASON_BITS, ChecksumStatus, RxReason
from hdl.registers.rx_tables import INDIRECTION_ROWS, INDIRECTIONS, QUEUE_BITS, QUEUES_A_ROW, ROWS, RxTable
from hdl.registers.tables import VPORTS
from hdl.rx.layouts import Completion, Delivery
from hdl.rx.rows import GROUP_ROW, INDIRECTION_ROW, RX_TABLE_WRITE, SETTINGS_ROW, VPORT_ROW
from hdl.stream.paced_pipe import PacedPipe
from hdl.stream.quick_fifo import QuickFifo
from hdl.table.memory import table_memory

ANSWER = data.StructLayout({"reason": RX_REASON_BITS, "slow": 1, "vports": VPORTS, "queue": QUEUE_BITS, "cut": 1})
HIGH = LOW = 8  # a vport's number, one-hot in two halves
assert HIGH * LOW == VPORTS


class Steer(wiring.Component):
    """A vport, or a vnet's group, to vports and a queue.

    ::

        i ─┬─ VPORT, INDIRECTION, GROUP ── vports ── BAD_CHECKSUM ── reason ┐
           └──────────────────────────────────────────────── completion ────┴─ o

    =============================  =====================================================================
    a completion with a reason     passes through, to nobody
    but `slow`                     to the slow path's vport, and the reason is gone; if there is none, as above
    unicast to a vport's address   to that vport, queue INDIRECTION[hash % 128]; if it has left the vnet since: nobody
    unicast to another address     to the vnet's group UNKNOWN: some vports, the slow path's vport, or none
    multicast, broadcast           to the vnet's group MULTICAST, likewise
    =============================  =====================================================================

    A frame with a bad inner checksum goes only to vports that want such frames. One that goes to nobody has a reason:
    NO_VPORT, or BAD_CHECKSUM if there would have been somebody. A frame of several segments is to be cut if what lies
    behind its layer-2 header (`patches.l3`) is longer than its vport's `receive_mtu`, or if it goes to anybody else.

    Ports: streams `i` (`Completion`) and `o` (`Delivery`), in one order; `table` (whole rows) and `hold`, from
    `TableWriter`: no lookup begins while `hold` is 1, and those under way are over `latency` cycles later; `begins`:
    one does, for what `i` offers.
    Latency: `latency` cycles; at 8 bytes a beat `o` shows what stands at `i` all the while, and takes it when it is
    taken; otherwise one more. Throughput: one every `latency` + 1 cycles at 8 bytes a beat, otherwise one a cycle.
    Back-pressure: on `o`, holds `i`.

    Parameters
    ----------
    width : bytes a beat of the path (8, 16, 32 or 64)
    """

    latency = 5

    def __init__(self, width: int):
        self.width, self.one_at_a_time = width, width == 8
        super().__init__(
            {
                "i": In(stream.Signature(Completion)),
                "o": Out(stream.Signature(Delivery)),
                "table": In(RX_TABLE_WRITE),
                "hold": In(1),
                "begins": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        settings = Signal(SETTINGS_ROW)
        with m.If(self.table.valid & (self.table.table == RxTable.SETTINGS)):
            m.d.sync += settings.eq(self.table.data)

        start, answer = self.begins, Signal(ANSWER)
        # one at a time: the answer stays as it is until the next lookup
        pipe = PacedPipe(m, start, pace=self.latency + 1 if self.one_at_a_time else 1, frame=self.i.p)

        def frame():
            return self.i.p if self.one_at_a_time else pipe.frame

        def read(name: str, table: RxTable, shape, address):
            return table_memory(m, name, write=self.table, table=table, shape=shape, rows=ROWS[table], address=address)

        # -- read the rows; what needs none of them
        lane_bits, index_bits = (QUEUES_A_ROW - 1).bit_length(), (INDIRECTIONS - 1).bit_length()
        assert 1 << index_bits - lane_bits == INDIRECTION_ROWS
        one = frame()
        group = read("groups", RxTable.GROUP, GROUP_ROW, Cat(~one.to.many, one.vnet))
        row = read("vports", RxTable.VPORT, VPORT_ROW, one.to.vport)
        queues = read(
            "indirections", RxTable.INDIRECTION, INDIRECTION_ROW, Cat(one.hash[lane_bits:index_bits], one.to.vport)
        )
        pipe.put(
            bad=~one.slow & Cat(status == ChecksumStatus.BAD for status in (one.ip_status, one.l4_status)).any(),
            large=~one.slow & (one.gso_size != 0),
            behind=(one.length - (one.patches.l3 << 1))[: len(one.length)],
            given=one.reason != RxReason.NONE,
        )
        pipe.step()
        pipe.put(group=group, row=row, queues=queues.as_value())
        pipe.step()

        # -- who: a vport, the slow path's, a group; or nobody
        one = frame()
        mine = pipe.row.valid & (pipe.row.vnet == one.vnet)
        known = one.to.known & ~one.slow
        up = one.slow | (~one.to.known & pipe.group.slow)
        nobody = (pipe.given & ~one.slow) | (up & ~settings.slow_valid) | (known & ~mine)
        index = Mux(up, settings.slow_vport, one.to.vport)
        single = (known | up) & ~nobody
        pipe.put(
            high=Cat(single & (index[3:] == number) for number in range(HIGH)),
            low=Cat(index[:3] == number for number in range(LOW)),
            many=~known & ~up & ~nobody,
            single=single,
            many_vports=pipe.group.vports,
            queue=gate(known, pipe.queues.word_select(one.hash[:lane_bits], QUEUE_BITS)),
            over=~known | (pipe.behind > pipe.row.receive_mtu),
        )
        pipe.step()
        pipe.put(
            vports=Cat(
                (pipe.high[n // LOW] & pipe.low[n % LOW]) | (pipe.many & pipe.many_vports[n]) for n in range(VPORTS)
            ),
            some=pipe.single | (pipe.many & pipe.many_vports.any()),
            cut=pipe.large & pipe.over,
        )
        pipe.step()

        # -- who of them wants it
        left = pipe.vports & ~gate(pipe.bad, settings.drop_bad_checksum)
        pipe.put(vports=left, left=left.any())
        pipe.step()
        assert pipe.cycles == self.latency

        one, reason = frame(), Signal(RX_REASON_BITS)
        with m.If(pipe.given & ~(one.slow & pipe.some)):
            m.d.comb += reason.eq(one.reason)
        with m.Elif(~pipe.some):
            m.d.comb += reason.eq(RxReason.NO_VPORT)
        with m.Elif(~pipe.left):
            m.d.comb += reason.eq(RxReason.BAD_CHECKSUM)
        m.d.comb += [
            answer.reason.eq(reason),
            answer.slow.eq(one.slow & pipe.some),
            answer.vports.eq(pipe.vports),
            answer.queue.eq(pipe.queue),
            answer.cut.eq(pipe.cut),
        ]
        found = Signal(Delivery)
        m.d.comb += [
            found[name].eq(answer[name] if name in ANSWER.members else getattr(one, name)) for name in Delivery.members
        ]

        if self.one_at_a_time:
            begun, waits = Signal(), Signal()  # what stands at `i` is being looked up; has been
            taken = self.o.valid & self.o.ready
            m.d.comb += [
                start.eq(self.i.valid & ~begun & ~self.hold),
                self.i.ready.eq(taken),
                self.o.valid.eq(pipe.valid | waits),
                self.o.payload.eq(found),
            ]
            m.d.sync += [begun.eq((begun | start) & ~taken), waits.eq(self.o.valid & ~taken)]
        else:
            m.submodules.out = out = QuickFifo(shape=Delivery, depth=32, margin=self.latency + 4)
            m.d.comb += [
                self.i.ready.eq(out.space & ~self.hold),
                start.eq(self.i.valid & self.i.ready),
                out.write.eq(pipe.valid),
                out.i.eq(found),
            ]
            wiring.connect(m, out.o, wiring.flipped(self.o))
        return m
