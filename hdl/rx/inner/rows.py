"""Header rows for the coalescer: what all packets of a merged frame must have in common."""

from amaranth import Cat, Const, Mux

from hdl.parse.ethernet import FIRST_PAIR
from hdl.parse.pipe import BeatPipe
from hdl.parse.region import header_words
from hdl.registers.patches import InnerPatch
from hdl.rx.layouts import MERGED_BYTES

ENDS = 0x0009  # FIN and PSH
TOS_IPV4, TOS_IPV6 = 0x00FF, 0x0FF0  # in the first word of an IP header


def most_rows(width: int) -> int:
    return MERGED_BYTES // width


def header_rows(pipe: BeatPipe) -> None:
    """The beat's headers, with zeros for what cutting patches, for the TOS, and behind the headers; 2 stages.

    Begins behind `transport`. Gives `has_row`, `row_data` and `row_count` (of the frame).
    """
    header_words(pipe)
    pipe.put(
        in_front=~pipe.runt & (pipe.index < most_rows(pipe.width)),
        row_count=_row_count(pipe),
        **{f"tos_{lane}": _holds_tos(pipe, lane) for lane in range(1, pipe.lanes, 2)},
    )
    pipe.step()

    words = pipe.words()
    kept = []
    for lane in range(pipe.lanes):
        code, inside = getattr(pipe, f"code_{lane}"), _inside(pipe, (lane + 1) // 2)
        word, zero = words[lane], ~inside | (code.any() & (code != InnerPatch.TCP_FLAGS))
        if lane % 2:
            tos = getattr(pipe, f"tos_{lane}")
            zeros = Mux(code == InnerPatch.TCP_FLAGS, ENDS, 0) | Mux(tos[0], TOS_IPV4, 0) | Mux(tos[1], TOS_IPV6, 0)
            word &= ~Cat(zeros, Const(0, 16))[:16]
        word = Mux(zero, 0, word)
        kept.append(Cat(word[8:], word[:8]))
    pipe.put(has_row=pipe.in_front & ~pipe.behind, row_data=Cat(kept))
    pipe.step()


def _inside(pipe: BeatPipe, pair: int):
    """Whether that pair of the beat is a header; one more than it has is the next beat's first one."""
    if pair == pipe.pairs:
        return ~pipe.behind & ~pipe.ending
    return ~pipe.behind & (~pipe.ending | (pipe.end_lane >= pair))


def _row_count(pipe: BeatPipe):
    most, rows = most_rows(pipe.width), pipe.final_pair[pipe.pair_bits :]  # less one
    return Mux(rows >= most, most, rows + 1)[:5]


def _holds_tos(pipe: BeatPipe, lane: int):
    """Whether the word in that lane is an IPv4 header's first, and an IPv6 header's.

    It may be a beat's last word, of which pair nothing else is known yet: the type has to do.
    """
    found = []
    for version in ("ipv4", "ipv6"):
        here = Const(0, 1)
        for tags in range(3):
            beat, at = divmod(2 * (FIRST_PAIR + tags) - 1, pipe.lanes)
            if at == lane:
                here |= getattr(pipe, version) & pipe.place[tags] & pipe.beat_is[beat]
        found.append(here)
    return Cat(found)
