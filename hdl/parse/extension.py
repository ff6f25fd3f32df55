"""One extension header of IPv6 (RFC 8200)."""

from amaranth import Cat, Mux

from hdl.parse.ethernet import by_place
from hdl.parse.network import upper
from hdl.parse.pipe import BeatPipe


def candidates(pipe: BeatPipe) -> None:
    """Read every pair of this beat at which an extension header may begin as if one did; 2 stages.

    Extension headers are multiples of 8 bytes, two pairs: only every second pair is a candidate, which ones is a matter
    of the number of tags.
    """
    pairs = pipe.pair_words()
    for c in range(pipe.pairs // 2):
        for half, name in enumerate(("first", "second")):
            odd, even = pairs[2 * c + 1][half], pairs[2 * c][half]
            pipe.put(**{f"{name}_of_{c}": by_place(pipe, [even, odd, even])})
    pipe.step()
    for c in range(pipe.pairs // 2):
        first, second = getattr(pipe, f"first_of_{c}"), getattr(pipe, f"second_of_{c}")
        pipe.put(**{f"candidate_{c}": Cat(first[:8], upper(first[8:]), second[:8].any())})
    pipe.step()


def extension(pipe: BeatPipe) -> None:
    """Step over an extension header, if one begins at `at`; 4 stages.

    ::

        pair  at                                  at + 1   at + 2 + 2 * size
             │ next, size │ type, segments left │ ...    │ next header

    One that is too long for the packet or for the parser ends the walk behind its first 8 bytes; one with no room for
    these ends it in front of them. A routing header with segments left makes the frame `bad`: the addresses of its
    pseudo-header are not those of the IP header.
    """
    count = pipe.pairs // 2
    which = pipe.at[1 : pipe.pair_bits]
    choices = [getattr(pipe, f"candidate_{c}") for c in range(count)]
    room = pipe.limit_extension - pipe.at  # pairs that a header may have beyond its first two
    pipe.put(
        candidate=choices[0] if count == 1 else choose(which, choices),
        here=pipe.index == pipe.at[pipe.pair_bits :],
        room=room[:8],
        try_it=pipe.extension & ~room[8],
        no_room=pipe.extension & room[8],
        behind=(pipe.at + 2)[:8],
    )
    pipe.step()

    size, after, left = pipe.candidate[:8], pipe.candidate[8:12], pipe.candidate[12]
    within = size <= pipe.room[1:]
    pipe.put(
        hit=pipe.try_it & pipe.here,
        step_over=Mux(within, size, 0)[:7],
        after=Mux(within, after, 0),
        fails=~within | (pipe.routing & left),
    )
    pipe.step()
    pipe.keep(pipe.hit, next_at=(pipe.behind + Cat(0, pipe.step_over))[:8], next_kind=pipe.after, failed=pipe.fails)
    pipe.sticky(seen_extension=pipe.hit)
    pipe.step()

    seen = pipe.seen_extension
    following, routing, tcp, udp = pipe.next_kind & seen.replicate(4)
    pipe.put(
        open=pipe.open | (pipe.try_it & ~seen),
        at=Mux(seen, pipe.next_at, pipe.at),
        extension=following,
        routing=routing,
        tcp=pipe.tcp | tcp,
        udp=pipe.udp | udp,
        bad=pipe.bad | pipe.no_room | (seen & pipe.failed),
    )
    pipe.step()


def choose(which, choices):
    """One of a power of two values."""
    while len(choices) > 1:
        choices = [Mux(which[0], high, low) for low, high in zip(choices[0::2], choices[1::2], strict=True)]
        which = which[1:]
    return choices[0]
