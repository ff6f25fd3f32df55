"""The inner parser: a frame's beats in, one record of facts a packet and its header rows out."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.net.sum16 import gate
from hdl.net.toeplitz import toeplitz
from hdl.parse.ethernet import ethernet
from hdl.parse.extension import candidates
from hdl.parse.limits import EXTENSIONS
from hdl.parse.network import network
from hdl.parse.pipe import BeatPipe
from hdl.parse.transport import transport
from hdl.registers.receive import ChecksumStatus
from hdl.rx.inner.extension import extension
from hdl.rx.inner.rows import header_rows
from hdl.rx.inner.strip import inner_beat
from hdl.rx.inner.sums import network_stages, network_sums, transport_sums, verify
from hdl.rx.layouts import LENGTH_BITS, InnerFacts
from hdl.stream.paced_fifo import PACE


class InnerParse(wiring.Component):
    """Finds where each layer of an inner frame begins, checks its sums, and hashes its flow, as its beats pass.

    ::

        i      │ e e e e │ e e i i │ i i i i │ t t t t │ t p p p │ p p p p, last │
        row    │ e e e e │ e e i i │ i i i i │ t t t t │ t . . . │               │
        facts                                                    │      one      │

               ethernet ─ network ─┬─ extension x 4 ─ transport ─┬─ header rows ─ row
                                   └─ sums ── hash ── sums ──────┴─ facts

    The stages are transmit's (see `BeatPipe`), and what they know of the length is what each beat says of it: of a bare
    frame nothing, until the last beat says how much has come. So the facts are right at a frame's last beat, and there
    they leave. An STT fragment says how long the whole frame is: headers that do not end within what has come are
    `unparsed`, and without an IP header that is whole there is none.

    A header row is the beat's headers with zeros for all that cutting patches, and for the TOS, which is compared by
    itself; behind the headers it is zero. Rows leave with their beats, the facts with the last one: so a frame's rows
    have come when its facts come, and the next frame's have not. `row_first` says that what was given before is void.
    There are no more than 128 bytes of rows; a frame with more headers is not merged. A frame that turns out to be no
    TCP has given rows, too; its facts say 0.

    Facts that do not apply (an IPv4 field without IPv4, say) are anything at all, but `tos`, `hash`, `rows`, both
    statuses and all that is one bit wide are 0. Of an `unparsed` frame `l4` and `header_words` do not apply either.

    Ports: `i_valid`, `i` (`inner_beat`); `row_valid`, `row`, `row_first`; `facts_valid`, `facts`; `mac_valid`, `mac`:
    each frame's destination address, ahead of its facts. No ready anywhere. At 8 bytes a beat the last beats of two
    frames are `PACE` cycles apart at least.
    Latency: `latency` cycles from a beat to its row, and from the last beat to the facts; 1 to the address. Throughput:
    one beat a cycle.
    Standards: IEEE 802.1Q, RFC 791, RFC 8200, RFC 9293, RFC 768.

    Parameters
    ----------
    width : bytes a beat (8, 16, 32 or 64)
    length_bits : of the number of bytes that may come of a frame
    ip_sum : beside the facts there is a port `ip_sum`: the IPv4 header's sum, with its checksum in it
    """

    def __init__(self, width: int, *, length_bits: int = LENGTH_BITS, ip_sum: bool = False):
        self.width, self.length_bits, self.gives_ip_sum = width, length_bits, ip_sum
        self.latency = 26 + (width // 4 - 1).bit_length()
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(inner_beat(width)),
                "row_valid": Out(1),
                "row": Out(8 * width),
                "row_first": Out(1),
                "facts_valid": Out(1),
                "facts": Out(InnerFacts),
                "mac_valid": Out(1),
                "mac": Out(48),
                **({"ip_sum": Out(16)} if ip_sum else {}),
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
            meta=i,
            pace=PACE[self.width] if self.width == 8 else 1,
        )
        _what_came(pipe)
        facts = pipe.fork()
        facts.conclude("ends")
        self._address(facts.fork(1))
        ethernet(pipe)
        candidates(pipe.fork())
        head, link = pipe.fork(), pipe.fork()
        network(pipe)
        _network_words(head)
        _link(link)
        # not before they are needed: up to there a frame's data waits in one RAM
        summed = pipe.fork(pipe.stage + max(2 * EXTENSIONS + 3 - network_stages(self.width), 0))
        network_sums(summed)
        _network_facts(facts.fork(pipe.stage))
        for _ in range(EXTENSIONS):
            extension(pipe)
        first = max(pipe.stage, summed.stage)
        sums = pipe.fork(pipe.stage - 1)
        _count(sums, self.length_bits)
        transport(pipe)
        transport_sums(sums, self.length_bits)
        header_rows(pipe.fork())
        facts.stage = sums.stage
        verify(facts, first, pipe.stage)
        _transport_facts(facts.fork(pipe.stage))
        facts.stage = pipe.stage = max(pipe.stage + 1, facts.stage)
        self._leave(facts, pipe)
        assert facts.stage == self.latency, f"latency is {facts.stage}"
        return m

    def _address(self, pipe: BeatPipe):
        pipe.m.d.comb += [self.mac_valid.eq(pipe.valid), self.mac.eq(pipe.early_mac)]

    def _leave(self, pipe: BeatPipe, beats: BeatPipe):
        """Put the facts together and register them; rows of the same beat beside them; 1 stage."""
        m = pipe.m
        has_ip, whole = pipe.has_ip, pipe.whole & ~pipe.bad
        tcp, udp = pipe.tcp_header & whole, pipe.udp_header & whole
        udp_sum = udp & pipe.sequence_low.any()
        has_sum = tcp | udp_sum
        v4 = pipe.ipv4 & pipe.recognised
        good, bad, none = ChecksumStatus.GOOD, ChecksumStatus.BAD, ChecksumStatus.NONE
        values = {
            "runt": pipe.runt,
            "tags": Cat(pipe.place[1], pipe.place[2]),
            "dst_mac": pipe.dst_mac,
            "link": pipe.link,
            "l3": Cat(Const(1, 1), pipe.start - 1)[:4],
            "l4": Cat(Const(1, 1), pipe.before_at),
            "header_words": Cat(Const(1, 1), pipe.final_pair),
            "has_ip": has_ip,
            "ipv6": has_ip & pipe.ipv6,
            "unparsed": ~whole,
            "tcp": tcp,
            "udp": udp_sum,
            "tos": Mux(has_ip, pipe.tos, 0),
            "tos_word": pipe.tos_word,
            "ip_length": pipe.ip_length,
            "id": pipe.ip_id,
            "fragment_word": pipe.fragment_word,
            "ip_checksum": pipe.ip_checksum,
            "sequence": Cat(pipe.sequence_low, pipe.sequence_high),
            "tcp_flags": pipe.tcp_flags,
            "l4_checksum": pipe.l4_field,
            "payload": pipe.payload,
            "padded": has_ip & whole & pipe.behind_ip,
            "ip_status": Mux(whole & v4, Mux(pipe.ip_good, good, bad), none),
            "l4_status": Mux(has_sum, Mux(pipe.l4_good, good, bad), none),
            "partial": has_sum & pipe.field_partial,
            "pseudo": pipe.pseudo,
            "pseudo_whole": pipe.pseudo_whole,
            "l4_sum": pipe.l4_sum,
            "hash": toeplitz(pipe.hashed),
            "rows": Mux(tcp, pipe.row_count, 0),
        }
        assert values.keys() == {name for name, _ in data.Layout.cast(InnerFacts)}
        facts, valid = Signal(InnerFacts, reset_less=True), Signal()
        if self.gives_ip_sum:
            ip_sum = Signal(16, reset_less=True)
            m.d.sync += ip_sum.eq(pipe.ip_sum)
            m.d.comb += self.ip_sum.eq(ip_sum)
        row, row_valid, row_first = Signal(8 * self.width, reset_less=True), Signal(), Signal(reset_less=True)
        m.d.sync += [getattr(facts, name).eq(value) for name, value in values.items()]
        m.d.sync += [
            valid.eq(pipe.valid),
            row_valid.eq(beats.valid & beats.has_row),
            row.eq(beats.row_data),
            row_first.eq(beats.first),
        ]
        m.d.comb += [
            self.facts_valid.eq(valid),
            self.facts.eq(facts),
            self.row_valid.eq(row_valid),
            self.row.eq(row),
            self.row_first.eq(row_first),
        ]
        pipe.step()


def _what_came(pipe: BeatPipe) -> None:
    """In the first stage: how many pairs have come, at the last beat (128: at least so many)."""
    size = pipe.meta.size
    here = Mux(size[9:].any(), 128, size[2:9] + size[1])[:8]
    words = pipe.words()
    pipe.put(here=here, ends=pipe.last & ~pipe.meta.void)
    pipe.keep(pipe.first, early_mac=Cat(words[2], words[1], words[0]))  # for the tables: long before the facts


def _link(pipe: BeatPipe) -> None:
    """A digest of what else than the destination the Ethernet header says: source and tags. Begins behind `ethernet`.

    ::

        word  3 . 5 . 7 . 9 .        3 ^ 4 ^ 5 ^ 6, ^ 7 with a tag, ^ 9 with two
              │ of  │ T │ T │        (6 is the type, or the outer tag's)
    """
    words = pipe.words()
    beats: dict[int, Value] = {}
    for word in (3, 4, 5, 6):
        beat, lane = divmod(word, pipe.lanes)
        beats[beat] = beats[beat] ^ words[lane] if beat in beats else words[lane]
    parts = [(f"link_{beat}", beat, value) for beat, value in beats.items()]
    parts += [(name, word // pipe.lanes, words[word % pipe.lanes]) for name, word in (("tci_7", 7), ("tci_9", 9))]
    for name, beat, value in parts:
        pipe.keep(pipe.beat_is[beat], **{name: value})
    pipe.step()
    link = gate(~pipe.place[0], pipe.tci_7) ^ gate(pipe.place[2], pipe.tci_9.rotate_left(8))
    for beat in beats:
        link ^= getattr(pipe, f"link_{beat}")
    pipe.put(link=link)


def _network_words(pipe: BeatPipe) -> None:
    """Words that `network` looks at, but does not keep. Begins where it begins; written down behind it."""
    pipe.step()
    pipe.step()
    pipe.keep(pipe.hit_first, tos_word=pipe.first_0)
    pipe.keep(pipe.holds_1, fragment_word=pipe.second_1)


def _network_facts(pipe: BeatPipe) -> None:
    """Behind `network`: is the header whole, and what lies behind the packet? 1 stage."""
    pipe.put(
        has_ip=pipe.recognised & (pipe.at <= pipe.here),
        behind_ip=pipe.ip_end != pipe.length,
    )


def _count(pipe: BeatPipe, length_bits: int) -> None:
    """`beat`: its number in the frame, from the next stage on."""
    beat = pipe.state("beat", length_bits - pipe.pair_bits - 2)
    with pipe.m.If(pipe.valid):
        pipe.m.d.sync += beat.eq(Mux(pipe.first, 0, beat + 1))
    pipe.step()


def _transport_facts(pipe: BeatPipe) -> None:
    """Behind `transport`: are the headers whole, and how much lies behind them? 1 stage."""
    ports = pipe.ports
    whole = pipe.final & (pipe.final_pair < pipe.here)
    hash_ports = (pipe.tcp_header | pipe.udp_header) & whole & ~pipe.bad
    pipe.put(
        whole=whole,
        payload=(pipe.ip_end - Cat(Const(2, 2), pipe.final_pair))[:17],
        hashed=Mux(pipe.has_ip, pipe.address_words ^ Mux(hash_ports, ports[16:] ^ ports[:16], 0), 0),
    )
    pipe.step()
