"""Sums of a packet's words: the IP header, what the outer checksum covers, and an STT fragment's data."""

from amaranth import Cat, Mux, Signal

from hdl.net.sum16 import fold
from hdl.parse.ethernet import FIRST_PAIR
from hdl.parse.pipe import BeatPipe
from hdl.rx.outer.tunnel import GRE
from hdl.stream.align import thermometer

PARTS = ("header", "covered", "bytes")
ADDRESS_WORDS = {"ipv4": range(6, 10), "ipv6": range(4, 20)}  # from the start of the network header
SUM_BITS = 30  # of 9,238 bytes and more


def masks(pipe: BeatPipe) -> None:
    """Which words belong to which sum; 2 stages.

    ::

        │ Ethernet │ IP header, addresses │ TCP-like, UDP or GRE header │ ...                       end │ padding
                   └ header ──────────────┘
                             └ covered ┘  └ covered ────────────────────────────────────────────────────┘
                                                          (STT:) bytes └───────────────────────────────┘
    """
    bits = (pipe.width - 1).bit_length()
    row = pipe.row

    def from_word(name: str, byte):
        """Words of this beat from that (even) byte on, as a few facts for the next stage."""
        return {
            f"{name}_before": row > byte[bits:],
            f"{name}_here": row == byte[bits:],
            f"{name}_lane": byte[1:bits],
        }

    words = range(pipe.lanes)
    fixed = {
        "ipv4": [_holds(pipe, [7 + 2 * tags + o for o in ADDRESS_WORDS["ipv4"]], tags) for tags in range(3)],
        "ipv6": [_holds(pipe, [7 + 2 * tags + o for o in ADDRESS_WORDS["ipv6"]], tags) for tags in range(3)],
    }
    pipe.put(
        **from_word("at", pipe.l4),
        **from_word("data", pipe.data_at),
        end_before=(row < pipe.end[bits:]) | (pipe.udp_tunnel & ~pipe.h_seen_1),  # UDP's length has yet to come
        end_here=row == pipe.end[bits:],
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
    inside = held("inside", Cat(pipe.end_before | (pipe.end_here & bit) for bit in before_end))  # bytes before the end
    kept = Cat(Mux(inside[n], pipe.data[8 * n : 8 * n + 8], 0) for n in range(pipe.width))
    header = ~(pipe.before_network | in_l4)[: pipe.lanes]
    pipe.put(
        kept=kept,
        in_header=header & pipe.ipv4.replicate(pipe.lanes),
        in_covered=in_l4 | (pipe.addresses & pipe.pseudo.replicate(pipe.lanes)),
        in_bytes=in_data,
    )
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
    """Add up each part up to this beat; one stage for each level of the adder tree and 3 more."""
    m = pipe.m
    raw, kept = pipe.words(), pipe.words(pipe.kept)
    for name, words in (("header", raw), ("covered", kept), ("bytes", kept)):
        inside = getattr(pipe, f"in_{name}")
        pipe.put(**{f"{name}_{n}": Mux(inside[n], word, 0) for n, word in enumerate(words)})
    pipe.step()
    count = pipe.lanes
    while count > 1:
        count //= 2
        for name in PARTS:
            terms = [getattr(pipe, f"{name}_{n}") for n in range(2 * count)]
            pipe.put(**{f"{name}_{n}": terms[2 * n] + terms[2 * n + 1] for n in range(count)})
        pipe.step()
    for name in PARTS:
        carried = Signal(SUM_BITS, name=f"carried_{name}")
        total = (carried + getattr(pipe, f"{name}_0"))[:SUM_BITS]
        with m.If(pipe.valid):
            m.d.sync += carried.eq(Mux(pipe.last, 0, total))
        pipe.put(**{f"total_{name}": total})
    pipe.step()
    pipe.put(**{f"total_{name}": _total(pipe, name)[:16] + _total(pipe, name)[16:] for name in PARTS})
    pipe.step()
    pipe.put(**{f"sum_{name}": fold(_total(pipe, name)) for name in PARTS})
    pipe.step()


def _total(pipe: BeatPipe, name: str):
    return getattr(pipe, f"total_{name}")


assert FIRST_PAIR == 4
