"""Sums of the inner frame: of its IPv4 header, of its pseudo-header, and of what TCP or UDP covers."""

from functools import reduce
from operator import or_, xor

from amaranth import Cat, Const, Mux, Signal

from hdl.net.protocol import TCP, UDP
from hdl.net.sum16 import fold
from hdl.net.toeplitz import toeplitz
from hdl.parse.pipe import BeatPipe
from hdl.parse.region import ADDRESSES, before_network, in_address
from hdl.rx.layouts import LENGTH_BITS

PARTS = {"ip": 30, "addresses": 16}
"""What is summed of the network header, and the most words that each may have."""


def network_sums(pipe: BeatPipe) -> None:
    """Of the network header, in the stage in which `at` is its end; 6 stages and one for each level of the adder tree.

    Gives `ip_good` (the IPv4 header sums to 0xFFFF), `address_sum` (16 bits) and `address_hash`.
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

    for name in PARTS:
        _tree(pipe.fork(), name, pipe.pairs)
    pipe.stage += (pipe.pairs - 1).bit_length()
    for name, count in PARTS.items():
        shape = (count * 0xFFFF).bit_length()
        before = Signal(shape, name=f"before_{name}")
        total = (before + getattr(pipe, f"{name}_0"))[:shape]
        with m.If(pipe.valid):
            m.d.sync += before.eq(Mux(pipe.last, 0, total))
        pipe.put(**{f"total_{name}": total})
    before = Signal(16, name="before_words")
    total = before ^ pipe.address_words
    with m.If(pipe.valid):
        m.d.sync += before.eq(Mux(pipe.last, 0, total))
    pipe.put(address_words=total)
    pipe.step()
    pipe.put(
        folded_ip=(pipe.total_ip[:16] + pipe.total_ip[16:])[:17],
        folded_addresses=(pipe.total_addresses[:16] + pipe.total_addresses[16:])[:17],
        address_hash=toeplitz(pipe.address_words),
    )
    pipe.step()
    pipe.put(ip_good=pipe.folded_ip == 0xFFFF, address_sum=fold(pipe.folded_addresses))
    pipe.step()


def transport_sums(pipe: BeatPipe, summed: int) -> None:
    """Of what lies from `at` up to `ip_end` or the end of what came; 7 stages and one for each level of the adder tree.

    ::

        words ─ & before ip_end ─ & from at ─ + ─ + ─ fold ─ accumulate ─ fold ─ l4_sum ─ = ~ pseudo ─ l4_good
                                             pseudo ─ + length ─ fold ─────────────────────────┘
                                                                   └─ = field ─ field_partial

    Begins in the first stage of `transport`, which must have been written down before; `summed`: the stage from which
    on `address_sum` is known. Gives `pseudo`, `l4_sum`, `l4_good` (as if the checksum were complete) and
    `field_partial`.
    """
    m = pipe.m
    _pseudo(pipe.fork(), summed)
    _clip(pipe)
    pipe.step()

    words, clipped = pipe.words(), pipe.before_end
    clipped = [
        Cat(
            word[:8] & clipped[2 * n + 1].replicate(8),  # a word is in network order
            word[8:] & clipped[2 * n].replicate(8),
        )
        for n, word in enumerate(words)
    ]
    all_lanes = (1 << pipe.pair_bits) - 1
    next_pair = ~pipe.open & (pipe.index == pipe.before_at[pipe.pair_bits :])
    next_pair &= pipe.before_at[: pipe.pair_bits] == all_lanes
    pipe.put(
        **{f"word_{n}": word for n, word in enumerate(clipped)},
        from_next=pipe.from_at[-1] | next_pair,  # the beat's last word belongs to the next beat's first pair
    )
    pipe.step()

    inside = Cat(pipe.from_at, pipe.from_next)
    gated = [getattr(pipe, f"word_{n}") & inside[(n + 1) // 2].replicate(16) for n in range(pipe.lanes)]
    pipe.put(**{f"l4_{n}": a + b for n, (a, b) in enumerate(zip(gated[0::2], gated[1::2], strict=True))})
    pipe.step()
    _tree(pipe.fork(), "l4", pipe.lanes // 2)
    levels = (pipe.lanes // 2 - 1).bit_length()
    pipe.stage += levels

    pipe.put(once=pipe.l4_0[:16] + pipe.l4_0[16:])
    pipe.step()
    # where the carry is set, what it is added to is small: it stays within as many bits as were folded in
    high = levels + 1
    word = Cat((pipe.once[:high] + pipe.once[16])[:high], pipe.once[high:16])
    carried = Signal(17, name="carried_l4")
    total = (Cat(Const(1, 1), carried[:16]) + Cat(carried[16], word))[1:18]
    with m.If(pipe.valid):
        m.d.sync += carried.eq(Mux(pipe.last, 0, total))
    pipe.put(total_l4=total)
    pipe.step()
    pipe.put(
        l4_sum=fold(pipe.total_l4),
        wanted=~pipe.pseudo_whole,
        l4_field=Mux(pipe.tcp_header, pipe.tcp_checksum, pipe.sequence_low),
    )
    pipe.step()
    zero = ~pipe.wanted.any()
    pipe.put(
        l4_good=(pipe.l4_sum == pipe.wanted) | (zero & pipe.l4_sum.all()),
        field_partial=(pipe.l4_field == ~pipe.wanted) | (zero & ~pipe.l4_field.any()),
    )
    pipe.step()


def _pseudo(pipe: BeatPipe, summed: int) -> None:
    """`pseudo`, and `pseudo_whole` with the length in it; 3 stages."""
    pipe.stage = max(pipe.stage, summed)
    pipe.put(upper_sum=pipe.address_sum + Mux(pipe.udp, UDP, TCP))
    pipe.step()
    l4_bytes = (pipe.ip_end - Cat(Const(2, 2), pipe.before_at))[:16]
    pipe.put(pseudo=fold(pipe.upper_sum), bytes_covered=l4_bytes)
    pipe.step()
    pipe.put(pseudo_long=pipe.pseudo + pipe.bytes_covered)
    pipe.step()
    pipe.put(pseudo_whole=fold(pipe.pseudo_long))


def _clip(pipe: BeatPipe) -> None:
    """`before_end`: bytes of this beat in front of `ip_end`."""
    bits = pipe.pair_bits + 2
    beat, end = pipe.beat, pipe.ip_end
    here = pipe.seen_next & (beat == end[bits:LENGTH_BITS]) & ~end[LENGTH_BITS:].any()
    ended = Signal(name="ip_ended")
    pipe.m.d.comb += ended.eq(pipe.before(here, restart=0) | pipe.before(ended, restart=0))
    pipe.put(before_end=Cat(~ended & (~here | (end[:bits] > byte)) for byte in range(pipe.width)))


def _tree(pipe: BeatPipe, name: str, count: int) -> None:
    """Add up `count` values, a level a stage."""
    while count > 1:
        terms = [getattr(pipe, f"{name}_{n}") for n in range(count)]
        count //= 2
        pipe.put(**{f"{name}_{n}": terms[2 * n] + terms[2 * n + 1] for n in range(count)})
        pipe.step()
