"""Geneve's options (RFC 8926): do they add up, is a critical one unknown, and what do all of them come to?"""

from functools import reduce
from operator import xor

from amaranth import Cat, Mux, Signal, Value

from hdl.parse.pipe import BeatPipe
from hdl.registers.rx_tables import OPTION_FIELDS, OPTIONS
from hdl.rx.outer.match import Match, match_write

OPTION_WRITE = match_write(OPTION_FIELDS)
TURN = 5  # bits that the digest turns with each pair
DIGEST_BITS = 32


def options(pipe: BeatPipe, write) -> None:
    """Walk the options, a pair (32 bits) after the other; 2 stages.

    ::

        pair   at + 4          │ ...        │ body
              │ class │ C type │ len │ data │ class ...        left: pairs until the next option begins

    Gives `option_left` (0 at the packet's end, or they do not add up), `critical` (one that nobody knows) and `digest`,
    which is yet to be turned by `straight`.
    At 64 bytes a beat the walk takes sixteen small steps in one cycle.
    """
    m, bits = pipe.m, pipe.pair_bits

    def from_pair(at):
        row, lane = at[bits:], at[:bits]
        return Cat((pipe.index > row) | ((pipe.index == row) & (lane <= n)) for n in range(pipe.pairs))

    pairs = pipe.pair_words()
    m.submodules.options = match = Match(OPTION_FIELDS, lookups=pipe.pairs)
    m.d.comb += match.write.eq(write)
    m.d.comb += [value.eq(Cat(second[8:], first)) for value, (first, second) in zip(match.value, pairs, strict=True)]
    in_options = Signal(pipe.pairs)
    m.d.comb += in_options.eq(
        from_pair((pipe.at + 4)[:7]) & ~from_pair(pipe.body) & pipe.is_geneve.replicate(pipe.pairs)
    )
    pipe.put(
        in_options=in_options,
        **{f"option_size_{n}": second[:5] for n, (_, second) in enumerate(pairs)},
        **{
            f"option_alien_{n}": second[15] & ~Cat(hits[k::OPTIONS].all() for k in range(OPTIONS)).any()
            for n, ((_, second), hits) in enumerate(zip(pairs, match.hits, strict=True))
        },
        **{f"option_{n}": Mux(in_options[n], Cat(second, first), 0) for n, (first, second) in enumerate(pairs)},
    )
    pipe.step()

    inside = pipe.in_options
    left_state, alien_state, digest_state = Signal(5), Signal(), Signal(DIGEST_BITS)  # zero in front of a packet
    left, alien = left_state, alien_state
    for n in range(pipe.pairs):
        left_next, alien_next = Signal(5, name=f"left_{n + 1}"), Signal(name=f"alien_{n + 1}")
        starts = inside[n] & (left == 0)
        m.d.comb += [
            alien_next.eq(alien | (starts & getattr(pipe, f"option_alien_{n}"))),
            left_next.eq(Mux(inside[n], Mux(left == 0, getattr(pipe, f"option_size_{n}"), left - 1), left)),
        ]
        left, alien = left_next, alien_next
    turned = reduce(xor, [_turn(getattr(pipe, f"option_{n}"), pipe.pairs - 1 - n) for n in range(pipe.pairs)])
    digest = Mux(inside.any(), _turn(digest_state, pipe.pairs), digest_state) ^ turned
    with m.If(pipe.valid):
        m.d.sync += [
            left_state.eq(Mux(pipe.last, 0, left)),
            alien_state.eq(alien & ~pipe.last),
            digest_state.eq(Mux(pipe.last, 0, digest)),
        ]
    pipe.put(option_left=left, critical=alien, digest=digest)
    pipe.step()


def straight(pipe: BeatPipe) -> Value:
    """The digest as if the options' last pair were the last of its beat: wherever they stand, they come to the same."""
    digest = pipe.digest
    behind = Signal(max(pipe.pair_bits, 1))  # pairs in the last beat that are none
    pipe.m.d.comb += behind.eq(-pipe.body[: pipe.pair_bits])
    for bit in range(pipe.pair_bits):
        digest = Mux(behind[bit], _turn(digest, -(1 << bit)), digest)
    return digest


def _turn(value: Value, pairs: int) -> Value:
    return value.rotate_left(TURN * pairs % DIGEST_BITS)
