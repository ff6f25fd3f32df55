"""Ethernet: up to two tags, and which network header follows."""

from amaranth import Cat, Const, Mux

from hdl.parse.pipe import BeatPipe, at_least
from hdl.registers.counters import MAXIMUM_FRAME, MINIMUM_FRAME

TYPES = {"c_tag": 0x8100, "s_tag": 0x88A8, "ipv4": 0x0800, "ipv6": 0x86DD}
TYPE_WORDS = (6, 8, 10)  # where a type stands behind 0, 1 and 2 tags
FIRST_PAIR = 4  # of the network header behind an untagged Ethernet header; a tag adds one
LAST_FIXED_PAIR = FIRST_PAIR + 2 + 9  # end of IPv6's fixed header behind two tags
IPV4_HEADER, IPV6_HEADER = 20, 40  # bytes, without options and extension headers


def count_beats(pipe: BeatPipe) -> None:
    """`index` of the beat in its frame, and `beat_is`, the same one-hot for the beats of the fixed headers.

    The index stops behind the deepest header.
    """
    index = pipe.state("index", (128 // pipe.pairs).bit_length())
    beat_is = pipe.state("beat_is", LAST_FIXED_PAIR // pipe.pairs + 1)
    with pipe.m.If(pipe.valid):
        pipe.m.d.sync += [
            index.eq(Mux(pipe.first, 0, index + ~index[-1])),
            beat_is.eq(Mux(pipe.first, 1, beat_is << 1)),
        ]


def find_types(pipe: BeatPipe) -> None:
    """Compare the words that may be a type, each byte by itself first; 2 stages.

    Gives `kind_0` .. `kind_2`: four bits in the order of `TYPES`, of the type behind that number of tags.
    """
    for lane in {word % pipe.lanes for word in TYPE_WORDS}:
        word = pipe.words()[lane]
        pipe.put(
            **{f"high_{lane}_{name}": word[8:] == value >> 8 for name, value in TYPES.items()},
            **{f"low_{lane}_{name}": word[:8] == value & 0xFF for name, value in TYPES.items()},
        )
    length = pipe.meta.length
    pipe.put(
        length=length,
        long=length[6:].any(),
        oversize=at_least(length, MAXIMUM_FRAME + 1),
    )
    pipe.step()

    for tags, word in enumerate(TYPE_WORDS):
        beat, lane = divmod(word, pipe.lanes)
        kind = Cat(getattr(pipe, f"high_{lane}_{name}") & getattr(pipe, f"low_{lane}_{name}") for name in TYPES)
        pipe.keep(pipe.beat_is[beat], **{f"kind_{tags}": kind})

    def reach(size: int):
        """Whether the frame has that many bytes behind the Ethernet header, for 0, 1 and 2 tags."""
        return Cat(pipe.long | at_least(pipe.length[:6], MINIMUM_FRAME + 4 * tags + size) for tags in range(3))

    pipe.put(reach=reach(0), reach_ipv4=reach(IPV4_HEADER), reach_ipv6=reach(IPV6_HEADER))
    pipe.step()


def ethernet(pipe: BeatPipe) -> None:
    """From the raw beat to the kind of network header and its place; 3 stages.

    ::

        word  0 . . 3 . . 6     7 . .
              │ MACs    │ type │ network header            place[0]: no tag
              │ MACs    │ tag  │ TCI │ type │ 9 . .        place[1]
              │ MACs    │ tag  │ TCI │ tag  │ TCI │ type │ place[2]: two

    Gives `runt`, `oversize`, `place`, `tagged` (the outermost tag is a C-tag), `ipv4` and `ipv6` (the type says so and
    a fixed header has room), `cut_short` (it has not) and `start`, the pair at which the network header begins.
    """
    count_beats(pipe)
    find_types(pipe)

    kinds = [getattr(pipe, f"kind_{tags}") for tags in range(3)]
    tag = [(kinds[tags][0] | kinds[tags][1]) & pipe.reach[tags + 1] for tags in range(2)]
    ipv4, ipv6 = (Cat(kind[bit] for kind in kinds) for bit in (2, 3))
    pipe.put(
        runt=~pipe.reach[0],
        place=Cat(~tag[0], tag[0] & ~tag[1], tag[0] & tag[1]),
        tagged=kinds[0][0] & pipe.reach[1],
        at_ipv4=ipv4 & pipe.reach_ipv4,
        at_ipv6=ipv6 & pipe.reach_ipv6,
        at_cut_short=(ipv4 & ~pipe.reach_ipv4) | (ipv6 & ~pipe.reach_ipv6),
    )
    pipe.step()
    pipe.put(
        start=Cat(pipe.place[1:3], Const(1, 1)),
        ipv4=(pipe.place & pipe.at_ipv4).any(),
        ipv6=(pipe.place & pipe.at_ipv6).any(),
        cut_short=(pipe.place & pipe.at_cut_short).any() & ~pipe.runt,
    )


def by_place(pipe: BeatPipe, values):
    """The value for the number of tags that the frame has, out of three; equal ones share a multiplexer's input."""
    untagged, once, twice = values
    if untagged is twice:
        return untagged if once is untagged else Mux(pipe.place[1], once, untagged)
    if once is twice:
        return Mux(pipe.place[0], untagged, once)
    return Mux(pipe.place[0], untagged, Mux(pipe.place[1], once, twice))


def holds_pair(pipe: BeatPipe, offset: int):
    """Whether this beat holds the pair at `offset` from the network header's start."""
    return (pipe.place & Cat(pipe.beat_is[(FIRST_PAIR + tags + offset) // pipe.pairs] for tags in range(3))).any()


def pick_pair(pipe: BeatPipe, pairs, offset: int):
    """Both words of that pair, where this beat holds it."""
    lanes = [(FIRST_PAIR + tags + offset) % pipe.pairs for tags in range(3)]
    return tuple(by_place(pipe, [pairs[lane][half] for lane in lanes]) for half in range(2))
