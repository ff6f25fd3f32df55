"""TCP (RFC 9293) or UDP (RFC 768), and where the headers end."""

from amaranth import Cat, Const, Mux, Signal

from hdl.parse.extension import choose
from hdl.parse.pipe import BeatPipe, at_least

TCP_PAIRS, UDP_PAIRS = 5, 2


def transport(pipe: BeatPipe) -> None:
    """From the end of the network header to the end of all headers; 7 stages.

    ::

        pair  at                at + 1                 at + 2   at + 3           at + 4
        TCP  │ ports           │ sequence              │ ack   │ flags, window │ checksum, urgent │ options ...
        UDP  │ ports           │ length, checksum      │

    Gives `tcp_header`, `udp_header` (one begins at `at`, and its fixed part has room), the words `ports`,
    `sequence_high` (UDP: length), `sequence_low` (UDP: checksum), `tcp_flags` and `tcp_checksum` as they came,
    `marks_0` .. `marks_3` (one-hot: which pair of words 2j, 2j + 1 of this beat has the number `at` + 0 .. 3),
    `from_at` (pairs of this beat that are no network header any more), `final` (the last header pair is known),
    `final_pair`, and `bad` as before.

    A TCP header whose size is wrong ends behind its fixed part.
    """
    _fixed_parts(pipe)
    _words(pipe)

    # -- the header's own size
    size = pipe.tcp_flags[12:16]
    pipe.put(
        size=size,
        sound_size=at_least(size, TCP_PAIRS) & (pipe.room_wide | (size <= pipe.room[:4])),
        l4_bytes=(pipe.ip_end - Cat(Const(2, 2), pipe.before_at[:7]))[:16],
    )
    pipe.step()
    pipe.put(
        more=Mux(pipe.tcp_header, Mux(pipe.sound_size, pipe.size, TCP_PAIRS), Cat(0, pipe.udp_header, 0, 0)),
        bad=pipe.bad | (pipe.tcp_header & ~pipe.sound_size) | (pipe.udp_header & (pipe.l4_bytes != pipe.sequence_high)),
        final=~pipe.open & (~pipe.tcp_header | pipe.seen_flags),
    )
    pipe.step()
    pipe.put(final_pair=(pipe.before_at + pipe.more)[:7])
    pipe.step()


def _fixed_parts(pipe: BeatPipe) -> None:
    """Is there room for them, and does this beat hold the pair `at`? 1 stage."""
    pipe.put(
        room=(pipe.limit - pipe.at)[:8],
        before_at=(pipe.at - 1)[:7],
        begins=~pipe.open & (pipe.index == pipe.at[pipe.pair_bits :]),
        lane=pipe.at[: pipe.pair_bits],
        bad=pipe.bad | pipe.extension,  # one too many
    )
    pipe.step()
    pipe.put(
        tcp_header=pipe.tcp & at_least(pipe.room, TCP_PAIRS),
        udp_header=pipe.udp & at_least(pipe.room, UDP_PAIRS),
        bad=pipe.bad | (pipe.tcp & ~at_least(pipe.room, TCP_PAIRS)) | (pipe.udp & ~at_least(pipe.room, UDP_PAIRS)),
        room_wide=pipe.room[4:].any(),
    )


def _words(pipe: BeatPipe) -> None:
    """Mark and capture the words of the fixed parts; 3 stages."""
    m, count, bits = pipe.m, pipe.pairs, pipe.pair_bits
    begun = pipe.before(pipe.begins, restart=0)
    twice = pipe.before(begun, restart=0)
    beats = (pipe.begins, begun, twice)  # the beat of pair `at`, the next, the one behind that
    here = pipe.words()
    even, odd = here[0::2], here[1::2]
    carried = [pipe.before(here[-1]), *odd[:-1]]
    lanes = [(pipe.lane + c)[:bits] for c in range(4)]
    marks = [Signal(count, name=f"marks_at_{c}") for c in range(4)]
    for c in range(4):
        for lane in range(count):  # of pair `at`
            ahead, to = divmod(lane + c, count)
            with m.If(pipe.lane == lane):
                m.d.comb += marks[c][to].eq(beats[ahead])
    after = pipe.before(pipe.begins, restart=0)
    past = Signal()  # a beat before this one held the pair `at`
    m.d.comb += past.eq(after | pipe.before(past, restart=0))
    pipe.put(
        **{f"marks_{c}": marks[c] for c in range(4)},
        source=choose(lanes[0], carried),
        destination=choose(lanes[0], even),
        second_high=choose(lanes[0], odd),
        second_low=choose(lanes[1], even),
        flags=choose(lanes[2], odd),
        checksum=choose(lanes[3], odd),
        from_at=Cat(past | (pipe.begins & (pipe.lane <= j)) for j in range(count)),
    )
    pipe.step()
    known = pipe.tcp_header | pipe.udp_header
    pipe.put(**{f"hit_{c}": known & getattr(pipe, f"marks_{c}").any() for c in range(4)})
    pipe.step()
    pipe.keep(pipe.hit_0, ports=Cat(pipe.destination, pipe.source), sequence_high=pipe.second_high)
    pipe.keep(pipe.hit_1, sequence_low=pipe.second_low)
    pipe.keep(pipe.hit_2, tcp_flags=pipe.flags)
    pipe.keep(pipe.hit_3, tcp_checksum=pipe.checksum)
    pipe.sticky(seen_flags=pipe.hit_2)
    pipe.step()
