"""Sums of a packet's words: the IP header, what the outer checksum covers, and an STT fragment's data."""

from amaranth import Cat, Signal

from hdl.parse.pipe import BeatPipe, at_least
from hdl.parse.sums import accumulate, gated, trees
from hdl.rx.outer.network import first_beat
from hdl.rx.outer.tunnel import GRE, SMALLEST_HEADER
from hdl.stream.align import thermometer

PARTS = ("header", "covered", "bytes")
ADDRESS_WORDS = {"ipv4": range(6, 10), "ipv6": range(4, 20)}  # from the start of the network header


def masks(pipe: BeatPipe) -> None:
    """Which words belong to which sum, and zeros for all others; 2 stages.

    ::

        │ Ethernet │ IP header, addresses │ TCP-like, UDP or GRE header │ ...                       end │ padding
                   └ header ──────────────┘
                             └ covered ┘  └ covered ────────────────────────────────────────────────────┘
                                                          (STT:) bytes └───────────────────────────────┘
    """
    bits = (pipe.width - 1).bit_length()

    def from_word(name: str, byte):
        """Words of this beat from that (even) byte on, as a few facts for the next stage."""
        row = byte[bits:]
        return {f"{name}_before": pipe.index > row, f"{name}_here": pipe.index == row, f"{name}_lane": byte[1:bits]}

    # until then, what a header says of the end is another packet's
    known = at_least(pipe.index, first_beat(pipe, SMALLEST_HEADER)) & ~(pipe.udp_tunnel & ~pipe.h_seen_1)
    here, ended = Signal(name="end_here"), Signal(name="end_before")
    pipe.m.d.comb += [
        here.eq((pipe.row == pipe.end[bits:]) & known),
        ended.eq(pipe.before(here, restart=0) | pipe.before(ended, restart=0)),
    ]

    words = range(pipe.lanes)
    fixed = {
        "ipv4": [_holds(pipe, [7 + 2 * tags + o for o in ADDRESS_WORDS["ipv4"]], tags) for tags in range(3)],
        "ipv6": [_holds(pipe, [7 + 2 * tags + o for o in ADDRESS_WORDS["ipv6"]], tags) for tags in range(3)],
    }
    pipe.put(
        **from_word("at", pipe.l4),
        **from_word("data", pipe.data_at),
        end_before=ended,
        end_here=here,
        end_lane=pipe.end[:bits],
        before_network=_before(pipe, 7),
        surely_ip=_before(pipe, 7 + 10),  # what a header's size said before it came is another packet's
        addresses=Cat(
            Cat(
                (pipe.ipv4 & fixed["ipv4"][tags][word]) | (pipe.ipv6 & fixed["ipv6"][tags][word]) for tags in range(3)
            ).any()
            for word in words
        ),
        data_known=pipe.is_stt & pipe.h_seen_3,  # before, the header's size is another packet's
        pseudo=pipe.protocol != GRE,
    )
    pipe.step()

    def from_on(name: str):
        lane = getattr(pipe, f"{name}_lane")
        here, before = getattr(pipe, f"{name}_here"), getattr(pipe, f"{name}_before")
        return held(name, Cat(before | (here & ~_above(lane, word)) for word in words))

    def held(name: str, bits):
        """In a signal: a slice of a long expression would copy all of it."""
        signal = Signal(len(bits), name=f"mask_{name}")
        pipe.m.d.comb += signal.eq(bits)
        return signal

    in_l4, in_data = from_on("at") & ~pipe.surely_ip, from_on("data") & pipe.data_known.replicate(pipe.lanes)
    before_end = held("lanes", thermometer(pipe.end_lane, pipe.width))
    # bytes in front of the end
    inside = held("inside", Cat(~pipe.end_before & (~pipe.end_here | bit) for bit in before_end))
    parts = {
        "header": ~(pipe.before_network | in_l4) & pipe.ipv4.replicate(pipe.lanes),
        "covered": in_l4 | (pipe.addresses & pipe.pseudo.replicate(pipe.lanes)),
        "bytes": in_data,
    }
    for name, mask in parts.items():
        mask = held(name, mask[: pipe.lanes])
        kept = {
            f"{name}_{n}": gated(word, [mask[n] & inside[2 * n + at] for at in range(2)])
            for n, word in enumerate(pipe.words())
        }
        pipe.put(**kept)
    pipe.step()


def _above(lane, word: int):
    return lane > word


def _any(bits):
    return Cat(bits).any() if bits else 0


def _before(pipe: BeatPipe, word: int):
    """Words in front of that one; two more for each tag."""
    return Cat(
        Cat(
            pipe.place[tags] & _any([pipe.beat_is[beat] for beat in _beats(pipe, lane, word + 2 * tags)])
            for tags in range(3)
        ).any()
        for lane in range(pipe.lanes)
    )


def _beats(pipe: BeatPipe, lane: int, stop: int) -> list[int]:
    """Beats that hold, in this lane, a word in front of `stop`."""
    return [word // pipe.lanes for word in range(stop) if word % pipe.lanes == lane]


def _holds(pipe: BeatPipe, words: list[int], tags: int):
    """For each lane: whether this beat has one of these words there, with that number of tags."""
    return [
        pipe.place[tags] & _any([pipe.beat_is[word // pipe.lanes] for word in words if word % pipe.lanes == lane])
        for lane in range(pipe.lanes)
    ]


def sums(pipe: BeatPipe) -> None:
    """Add up each part up to this beat; one stage for each level of the adder tree and 2 more."""
    trees(pipe, PARTS, pipe.lanes)
    accumulate(pipe, PARTS)
