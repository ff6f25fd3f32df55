"""Geneve's options (RFC 8926): do they add up, is a critical one unknown, and what do all of them come to?"""

from functools import reduce
from operator import xor

from amaranth import Cat, Const, Mux, Signal
from amaranth.lib import data

from hdl.parse.pipe import BeatPipe
from hdl.registers.rx_tables import OPTION_FIELDS, OPTIONS
from hdl.table.rows import row_layout

OPTION_ROW = row_layout(OPTION_FIELDS)
OPTION_WRITE = data.StructLayout({"valid": 1, "row": (OPTIONS - 1).bit_length(), "entry": OPTION_ROW})
TURN = 5  # bits that the digest turns with each pair


def options(pipe: BeatPipe, write) -> None:
    """Walk the options, a pair (32 bits) after the other; 2 stages.

    ::

        pair   at + 4          │ ...        │ body
              │ class │ C type │ len │ data │ class ...        left: pairs until the next option begins

    Gives `option_left` (0 at the packet's end, or they do not add up), `critical` (one that nobody knows) and `digest`.
    At 64 bytes a beat the walk takes sixteen small steps in one cycle.
    """
    m, bits = pipe.m, pipe.pair_bits
    rows = [Signal(OPTION_ROW, name=f"option_{n}") for n in range(OPTIONS)]
    for n, row in enumerate(rows):
        with m.If(write.valid & (write.row == n)):
            m.d.sync += row.eq(write.entry)

    def from_pair(at):
        row, lane = at[bits:], at[:bits]
        return Cat((pipe.index > row) | ((pipe.index == row) & (lane <= n)) for n in range(pipe.pairs))

    pairs = pipe.pair_words()
    pipe.put(
        in_options=from_pair((pipe.at + 4)[:7]) & ~from_pair(pipe.body) & pipe.is_geneve.replicate(pipe.pairs),
        **{f"option_size_{n}": second[:5] for n, (_, second) in enumerate(pairs)},
        **{
            f"option_alien_{n}": second[15]
            & ~Cat(row.valid & (row["class"] == first) & (row["type"] == second[8:]) for row in rows).any()
            for n, (first, second) in enumerate(pairs)
        },
        **{f"option_{n}": Cat(second, first) for n, (first, second) in enumerate(pairs)},
    )
    pipe.step()

    inside = pipe.in_options
    left_state, alien_state, digest_state = Signal(5), Signal(), Signal(32)
    left, alien = Signal(5, name="left_0"), Signal(name="alien_0")
    m.d.comb += [left.eq(Mux(pipe.first, 0, left_state)), alien.eq(alien_state & ~pipe.first)]
    for n in range(pipe.pairs):
        left_next, alien_next = Signal(5, name=f"left_{n + 1}"), Signal(name=f"alien_{n + 1}")
        starts = inside[n] & (left == 0)
        m.d.comb += [
            alien_next.eq(alien | (starts & getattr(pipe, f"option_alien_{n}"))),
            left_next.eq(Mux(inside[n], Mux(left == 0, getattr(pipe, f"option_size_{n}"), left - 1), left)),
        ]
        left, alien = left_next, alien_next
    turned = reduce(
        xor,
        [
            (getattr(pipe, f"option_{n}") & inside[n].replicate(32)).rotate_left(TURN * n % 32)
            for n in range(pipe.pairs)
        ],
    )
    before = Mux(pipe.first, Const(0, 32), digest_state)
    digest = Mux(inside.any(), before.rotate_left(TURN * pipe.pairs % 32) ^ turned, before)
    with m.If(pipe.valid):
        m.d.sync += [left_state.eq(left), alien_state.eq(alien), digest_state.eq(digest)]
    pipe.put(option_left=left, critical=alien, digest=digest)
    pipe.step()
