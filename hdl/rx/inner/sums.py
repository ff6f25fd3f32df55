"""Sums of the inner frame: of its IPv4 header, of its pseudo-header, and of what TCP or UDP covers."""

from functools import reduce
from operator import or_, xor

from amaranth import Cat, Mux, Signal

from hdl.net.protocol import TCP, UDP
from hdl.net.sum16 import fold
from hdl.parse.pipe import BeatPipe
from hdl.parse.region import ADDRESSES, before_network, in_address
from hdl.parse.sums import accumulate, gated, trees

PARTS = ("ip", "addresses")  # what is summed of the network header


def network_stages(width: int) -> int:
    return 5 + (width // 4 - 1).bit_length()


def network_sums(pipe: BeatPipe) -> None:
    """Of the network header, `at` being its end; 5 stages and one for each level of the adder tree.

    Gives `ip_sum` (16 bits), `ip_good` (it is 0xFFFF), `address_sum` (16 bits) and `address_words` (their XOR).
    """
    m = pipe.m
    here = pipe.index == pipe.at[pipe.pair_bits :]
    ended = Signal(name="network_ended")  # a beat before this one held the pair behind the header
    m.d.comb += ended.eq(pipe.before(here, restart=0) | pipe.before(ended, restart=0))
    lane = pipe.at[: pipe.pair_bits]
    behind = Cat(ended | (here & (lane <= pair)) for pair in range(pipe.pairs))
    pipe.put(
        ip_pairs=~Cat(before_network(pipe, pair) for pair in range(pipe.pairs)) & ~behind,
        address_pairs=Cat(
            reduce(or_, (in_address(pipe, pair, versions) for versions in ADDRESSES.values()))
            for pair in range(pipe.pairs)
        ),
    )
    pipe.step()

    pairs = pipe.pair_words()
    inside = {"ip": pipe.ip_pairs, "addresses": pipe.address_pairs}
    for name in PARTS:
        pipe.put(**{f"{name}_{n}": Mux(inside[name][n], high + low, 0) for n, (high, low) in enumerate(pairs)})
    words = [Mux(pipe.address_pairs[n], high ^ low, 0) for n, (high, low) in enumerate(pairs)]
    pipe.put(address_words=reduce(xor, words))
    pipe.step()

    trees(pipe, PARTS, pipe.pairs)
    before = Signal(16, name="before_words")
    total = before ^ pipe.address_words
    with m.If(pipe.valid):
        m.d.sync += before.eq(Mux(pipe.last, 0, total))
    pipe.put(address_words=total)
    accumulate(pipe, PARTS)
    pipe.put(
        ip_sum=fold(pipe.total_ip),
        ip_good=(pipe.total_ip == 0xFFFF) | (pipe.total_ip == 0x1FFFE),  # with or without its last carry
        address_sum=fold(pipe.total_addresses),
    )
    pipe.step()


def transport_sums(pipe: BeatPipe, length_bits: int) -> None:
    """Of what lies from `at` up to `ip_end` or the end of what came; 4 stages and one for each level of the adder tree.

    ::

        words ─ & before ip_end, from at ─ + ─ + ─ fold ─ accumulate ─ total_l4

    Begins in the first stage of `transport`, which must have been written down before. Also keeps `dst_mac`.
    """
    m = pipe.m
    _clip(pipe, length_bits)
    pipe.step()

    words, before_end = pipe.words(), pipe.before_end
    pipe.keep(pipe.first, dst_mac=Cat(words[2], words[1], words[0]))
    all_lanes = (1 << pipe.pair_bits) - 1
    next_pair = ~pipe.open & (pipe.index == pipe.before_at[pipe.pair_bits :])
    next_pair &= pipe.before_at[: pipe.pair_bits] == all_lanes
    # the beat's last word belongs to the next beat's first pair
    inside = Signal(pipe.pairs + 1, name="from_at")
    m.d.comb += inside.eq(Cat(pipe.from_at, pipe.from_at[-1] | next_pair))
    for n, word in enumerate(words):
        kept = gated(word, [inside[(n + 1) // 2] & before_end[2 * n + at] for at in range(2)])
        pipe.put(**{f"l4_{n}": kept})
    pipe.step()
    trees(pipe, ("l4",), pipe.lanes)
    accumulate(pipe, ("l4",))


def verify(pipe: BeatPipe, summed: int, behind: int) -> None:
    """Is the checksum of TCP or UDP right? 2 stages, at a frame's last beat.

    ::

        pseudo ─ + length ─ fold ─┬─ = ~ l4_sum ─ l4_good
                                  └─ = field ─ field_partial

    Begins behind `transport_sums`; `summed`: the first stage of `transport`, or that from which on `address_sum` is
    known; `behind`: the stage behind `transport`. Gives `pseudo`, `l4_sum`, `l4_good` (as if the checksum were
    complete) and `field_partial`.
    """
    _pseudo(pipe.fork(summed), behind)
    pipe.put(
        l4_sum=fold(pipe.total_l4),
        l4_field=Mux(pipe.tcp_header, pipe.tcp_checksum, pipe.sequence_low),
    )
    pipe.step()
    whole = pipe.pseudo_whole
    pipe.put(
        l4_good=(pipe.l4_sum ^ whole).all() | (whole.all() & pipe.l4_sum.all()),
        field_partial=(pipe.l4_field == whole) | (whole.all() & ~pipe.l4_field.any()),
    )
    pipe.step()


def _pseudo(pipe: BeatPipe, behind: int) -> None:
    """`pseudo`, and `pseudo_whole` with the length in it; 4 stages."""
    pipe.put(upper_sum=pipe.address_sum + Mux(pipe.udp, UDP, TCP))
    pipe.step()
    pipe.put(pseudo=fold(pipe.upper_sum))
    pipe.step()
    pipe.stage = max(pipe.stage, behind - 2)  # where `transport` knows `l4_bytes`
    pipe.put(pseudo_long=pipe.pseudo + pipe.l4_bytes)
    pipe.step()
    pipe.put(pseudo_whole=fold(pipe.pseudo_long))


def _clip(pipe: BeatPipe, length_bits: int) -> None:
    """`before_end`: bytes of this beat in front of `ip_end`."""
    bits = pipe.pair_bits + 2
    beat, end = pipe.beat, pipe.ip_end
    here = pipe.seen_next & (beat == end[bits:length_bits]) & ~end[length_bits:].any()
    ended = Signal(name="ip_ended")
    pipe.m.d.comb += ended.eq(pipe.before(here, restart=0) | pipe.before(ended, restart=0))
    pipe.put(before_end=Cat(~ended & (~here | (end[:bits] > byte)) for byte in range(pipe.width)))
