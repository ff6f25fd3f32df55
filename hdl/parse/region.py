"""Which words of a beat are headers, which are replaced later, and which sum each belongs to."""

from amaranth import Cat, Const, Mux

from hdl.parse.ethernet import FIRST_PAIR
from hdl.parse.pipe import BeatPipe
from hdl.registers.patches import InnerPatch

ADDRESSES = {"source": {"ipv4": range(3, 4), "ipv6": range(2, 6)},
             "destination": {"ipv4": range(4, 5), "ipv6": range(6, 10)}}  # fmt: skip
"""Pairs of an address, from the start of the network header."""

NETWORK_CODES = {
    "ipv4": {1: InnerPatch.LENGTH, 2: InnerPatch.ID, 5: InnerPatch.IP_CHECKSUM},
    "ipv6": {2: InnerPatch.LENGTH},
}
"""Words that are replaced, from the start of the network header."""

ODD_CODES = {0: InnerPatch.SEQUENCE_HIGH, 2: InnerPatch.TCP_FLAGS, 3: InnerPatch.L4_CHECKSUM}
"""TCP words that are replaced, by the mark whose second word they are (see `transport`)."""


def header_words(pipe: BeatPipe) -> None:
    """Where the headers end (`ending` in this beat, in the pair `end_lane`; `behind`), and each word's patch code."""
    end_beat = pipe.final_pair[pipe.pair_bits :]
    pipe.put(
        ending=pipe.final & (pipe.index == end_beat),
        behind=pipe.final & (pipe.index > end_beat),
        end_lane=pipe.final_pair[: pipe.pair_bits],
        **{f"code_{lane}": word_code(pipe, lane) for lane in range(pipe.lanes)},
    )


def regions(pipe: BeatPipe) -> None:
    """Where the headers end in this beat, and what its words are; 2 stages.

    Gives, one bit a pair of the beat: `in_ethernet`, `in_network`, `in_source`, `in_destination`, `in_transport` (none
    overlap; they are what the sums are made of); `code_0` ..: a patch code for each word; `kept`: the beat's data with
    zeros for words with a code; and for the beat: `has_header`, `has_payload`, `ends` (the headers end in it).

    A runt has no headers, it is all payload.
    """
    header_words(pipe)
    pipe.put(
        to_the_end=pipe.length == Cat(Const(2, 2), pipe.final_pair),  # no byte is left for the payload
        before_network=Cat(before_network(pipe, lane) for lane in range(pipe.pairs)),
        **{
            f"at_{name}": Cat(in_address(pipe, lane, versions) for lane in range(pipe.pairs))
            for name, versions in ADDRESSES.items()
        },
    )
    pipe.step()

    inside = Cat(~pipe.runt & ~pipe.behind & (~pipe.ending | (pipe.end_lane >= lane)) for lane in range(pipe.pairs))
    address = pipe.at_source | pipe.at_destination
    pipe.put(
        ends=Mux(pipe.runt, pipe.first, pipe.ending),
        has_header=~pipe.runt & ~pipe.behind,
        has_payload=Mux(pipe.runt, pipe.length.any(), pipe.behind | (pipe.ending & ~pipe.to_the_end)),
        in_ethernet=inside & pipe.before_network,
        in_network=inside & ~pipe.before_network & ~address & ~pipe.from_at,
        in_source=inside & pipe.at_source,
        in_destination=inside & pipe.at_destination,
        in_transport=inside & pipe.from_at,
        kept=Cat(Mux(_part(pipe, lane).any(), 0, pipe.data[16 * lane : 16 * lane + 16]) for lane in range(pipe.lanes)),
    )
    pipe.step()


def _part(pipe: BeatPipe, lane: int):
    return getattr(pipe, f"code_{lane}")


def _beats(pipe: BeatPipe, pairs) -> object:
    """Whether this beat is one of those that hold, in a given lane, one of these (lane-wise congruent) pairs."""
    return Cat(pipe.beat_is[pair // pipe.pairs] for pair in pairs).any() if pairs else Const(0, 1)


def before_network(pipe: BeatPipe, lane: int):
    return Cat(
        pipe.place[tags] & _beats(pipe, [p for p in range(FIRST_PAIR + tags) if p % pipe.pairs == lane])
        for tags in range(3)
    ).any()


def in_address(pipe: BeatPipe, lane: int, versions):
    return Cat(
        pipe.recognised
        & getattr(pipe, version)
        & pipe.place[tags]
        & _beats(pipe, [FIRST_PAIR + tags + o for o in offsets if (FIRST_PAIR + tags + o) % pipe.pairs == lane])
        for version, offsets in versions.items()
        for tags in range(3)
    ).any()


def word_code(pipe: BeatPipe, lane: int):
    """The patch code of the word in that lane."""
    code = Const(0, 3)
    for version, words in NETWORK_CODES.items():
        for offset, value in words.items():
            for tags in range(3):
                beat, at = divmod(2 * (FIRST_PAIR + tags) - 1 + offset, pipe.lanes)
                if at == lane:
                    here = pipe.recognised & getattr(pipe, version) & pipe.place[tags] & pipe.beat_is[beat]
                    code |= Mux(here, value, 0)
    pair = lane // 2
    if lane % 2:
        for mark, value in ODD_CODES.items():
            code |= Mux(pipe.tcp_header & getattr(pipe, f"marks_{mark}")[pair], value, 0)
    else:
        code |= Mux(pipe.tcp_header & pipe.marks_1[pair], InnerPatch.SEQUENCE_LOW, 0)
        code |= Mux(pipe.udp_header & pipe.marks_1[pair], InnerPatch.L4_CHECKSUM, 0)
    return code[:3]
