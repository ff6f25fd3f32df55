"""The parser: a frame's beats in, its header beats, payload beats and context out."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.parse.ethernet import ethernet
from hdl.parse.extension import candidates, extension
from hdl.parse.limits import EXTENSIONS
from hdl.parse.network import network
from hdl.parse.pipe import BeatPipe
from hdl.parse.region import regions
from hdl.parse.transport import transport
from hdl.tx.guard import frame_beat
from hdl.tx.layouts import FrameContext, header_beat, payload_beat
from hdl.tx.parse.sums import flow_hash, sums


class Parse(wiring.Component):
    """Finds where each layer of a frame begins, as its beats pass.

    ::

        i         │ e e e e │ e e i i │ i i i i │ t t t t │ t p p p │ p p p p, last │
        header    │ e e e e │ e e i i │ i i i i │ t t t t │ t p p p │
        payload                                           │ t p p p │ p p p p │
        context                                                       │ one │

                  ethernet ─ network ─ extension x 4 ─ transport ─ regions ─┬─ header, payload
                                                                            └─ sums ─ flow hash ─ context

    There is no state machine and no look ahead: what a header is, is told by bytes in front of it, so each stage knows
    from its own beat and those before it all that it needs (see `BeatPipe`), and a frame of 64 KB gives its context
    when its headers have passed. Every decision that moves the end of the headers is taken no later than the beat in
    which it counts; those that only make a frame `unparsed` may come until its context leaves.

    Nothing is dropped and nothing is changed: a frame that cannot be parsed has the headers up to where the parser
    stopped, codes beside words whose `Originals` are in the context, and the sums of the others.

    Ports: `i_valid`, `i`; `header_valid`, `header` (to the header ring, a row each); `payload_valid`, `payload`;
    `context_valid`, `context`. No ready anywhere: the guard in front keeps to the space behind. Beats may have gaps.
    Latency: `latency` cycles at most from a beat to what comes of it; a context comes behind its headers' last beat.
    Throughput: one beat a cycle, and as many frames as that is.
    Standards: IEEE 802.1Q, RFC 791, RFC 8200, RFC 9293, RFC 768.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    """

    fixed_latency = 43  # without the levels of the adder tree

    def __init__(self, *, width: int):
        self.width = width
        self.latency = self.fixed_latency + (width // 4 - 1).bit_length()
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(frame_beat(width)),
                "header_valid": Out(1),
                "header": Out(header_beat(width)),
                "payload_valid": Out(1),
                "payload": Out(payload_beat(width)),
                "context_valid": Out(1),
                "context": Out(FrameContext),
            }
        )

    def elaborate(self, platform):
        m = Module()
        i = self.i
        pipe = BeatPipe(
            m,
            width=self.width,
            valid=self.i_valid,
            first=i.first,
            last=i.last,
            data=i.data,
            error=i.error,
            meta=i.meta,
        )
        ethernet(pipe)
        candidates(pipe.fork())
        network(pipe)
        for _ in range(EXTENSIONS):
            extension(pipe)
        transport(pipe)
        regions(pipe)
        self._beats(pipe)
        self._facts(pipe)
        sums(pipe)
        flow_hash(pipe)
        self._context(pipe)
        assert pipe.stage == self.latency, f"latency is {pipe.stage}"
        return m

    def _beats(self, pipe):
        """Header and payload beats leave; the rows of the former are numbered."""
        m = pipe.m
        row = Signal(16)
        with m.If(pipe.valid & pipe.has_header):
            m.d.sync += row.eq(row + 1)
        pipe.keep(pipe.first, row=row)
        words = pipe.words()
        pipe.keep(pipe.first, dst_mac=Cat(words[2], words[1], words[0]))
        beat, lane = divmod(7, pipe.lanes)
        pipe.keep(pipe.beat_is[beat], tci=words[lane])
        m.d.comb += [
            self.header_valid.eq(pipe.valid & pipe.has_header),
            self.header.data.eq(pipe.data),
            self.payload_valid.eq(pipe.valid & pipe.has_payload),
            self.payload.data.eq(pipe.data),
            self.payload.error.eq(pipe.error),
        ]
        m.d.comb += [self.header.codes[lane].eq(getattr(pipe, f"code_{lane}")) for lane in range(pipe.lanes)]

    def _facts(self, pipe):
        """What the context says beyond the sums."""
        tcp, udp, v4 = pipe.tcp_header, pipe.udp_header, pipe.recognised & pipe.ipv4
        pipe.put(
            by_address=pipe.recognised & ~pipe.bad,
            by_ports=(tcp | udp) & ~pipe.bad,
            tags=Cat(pipe.place[1], pipe.place[2]),
            header_words=Mux(pipe.runt, 0, Cat(Const(1, 1), pipe.final_pair)),
            l4=Mux(pipe.runt, 0, Cat(Const(1, 1), pipe.before_at)),
            l4_checksum=Mux(tcp, pipe.tcp_checksum, Mux(udp, pipe.sequence_low, 0)),
            v4=v4,
        )

    def _context(self, pipe):
        """Put the context together and register it."""
        good, v4, tcp = pipe.by_address, pipe.v4, pipe.tcp_header
        facts = {
            "vport": pipe.meta.vport,
            "length": pipe.length,
            "gso_size": pipe.meta.gso_size,
            "accecn": pipe.meta.accecn,
            "dst_mac": pipe.dst_mac,
            "header_row": pipe.row,
            "header_words": pipe.header_words,
            "l3": Cat(Const(1, 1), pipe.start - 1)[:4],
            "l4": pipe.l4,
            "ip_end": Mux(good, pipe.ip_end, pipe.length),
            "runt": pipe.runt,
            "oversize": pipe.oversize,
            "tagged": pipe.tagged,
            "tags": pipe.tags,
            "tci": pipe.tci,
            "ipv4": good & pipe.ipv4,
            "ipv6": good & pipe.ipv6,
            "tcp": tcp & ~pipe.bad,
            "udp": pipe.udp_header & ~pipe.bad & pipe.sequence_low.any(),
            "unparsed": pipe.bad,
            "tos": Mux(pipe.recognised, pipe.tos, 0),
            "original": {
                "length": Mux(pipe.recognised, pipe.ip_length, 0),
                "id": Mux(v4, pipe.ip_id, 0),
                "ip_checksum": Mux(v4, pipe.ip_checksum, 0),
                "sequence": Mux(tcp, Cat(pipe.sequence_low, pipe.sequence_high), 0),
                "tcp_flags": Mux(tcp, pipe.tcp_flags, 0),
                "l4_checksum": pipe.l4_checksum,
            },
            "l2_sum": pipe.sum_ethernet,
            "l3_sum": pipe.sum_network,
            "src_sum": pipe.sum_source,
            "dst_sum": pipe.sum_destination,
            "l4_sum": pipe.sum_transport,
            "hash": pipe.hash,
            "bad_length": pipe.error,
        }
        context = Signal(FrameContext, reset_less=True)
        valid = Signal()
        originals = facts.pop("original")
        pipe.m.d.sync += [valid.eq(pipe.valid & pipe.ends)]
        pipe.m.d.sync += [getattr(context, name).eq(value) for name, value in facts.items()]
        pipe.m.d.sync += [getattr(context.original, name).eq(value) for name, value in originals.items()]
        pipe.m.d.comb += [self.context_valid.eq(valid), self.context.eq(context)]
        pipe.step()
