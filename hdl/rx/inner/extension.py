"""The walk over one extension header of IPv6 in two cycles: `hdl.parse.extension` in less time and more logic."""

from amaranth import Cat, Const, Mux

from hdl.parse.extension import choose
from hdl.parse.pipe import BeatPipe


def extension(pipe: BeatPipe) -> None:
    """Step over an extension header, if one begins at `at`; 2 stages. What it says is that of the other one."""
    count = pipe.pairs // 2
    choices = [getattr(pipe, f"candidate_{c}") for c in range(count)]
    candidate = choices[0] if count == 1 else choose(pipe.at[1 : pipe.pair_bits], choices)
    room = pipe.limit_extension - pipe.at  # pairs that a header may have beyond its first two
    here = pipe.index == pipe.at[pipe.pair_bits :]
    behind = (pipe.at + 2)[:8]
    pipe.put(
        hit=pipe.extension & ~room[8] & here,
        try_it=pipe.extension & ~room[8],
        no_room=pipe.extension & room[8],
        room=room[:8],
        candidate=candidate,
        behind=behind,
        far=Cat(pipe.at[0], (Cat(Const(1, 1), pipe.at[1:]) + Cat(Const(1, 1), candidate[:7]))[1:8]),  # carry in: + 1
    )
    pipe.step()

    size, following, left = pipe.candidate[:8], pipe.candidate[8:12], pipe.candidate[12]
    within = size <= pipe.room[1:]
    next_at = Mux(within, pipe.far, pipe.behind)
    next_kind = Mux(within, following, 0)
    fails = ~within | (pipe.routing & left)
    opening, valid, hit, try_it, no_room = pipe.first, pipe.valid, pipe.hit, pipe.try_it, pipe.no_room
    at_before, kind_before, bad_before, open_before = pipe.at, Cat(pipe.tcp, pipe.udp), pipe.bad, pipe.open
    seen, failed, at = pipe.state("seen_extension", 1), pipe.state("failed", 1), pipe.state("at", 8)
    ahead, upper = pipe.state("ahead", 2), pipe.state("upper_kind", 2)
    with pipe.m.If(valid):
        with pipe.m.If(hit):
            pipe.m.d.sync += [
                seen.eq(1),
                at.eq(next_at),
                ahead.eq(next_kind[:2]),
                upper.eq(next_kind[2:]),
                failed.eq(fails),
            ]
        with pipe.m.Elif(opening | ~seen):
            pipe.m.d.sync += [seen.eq(0), at.eq(at_before), ahead.eq(0), upper.eq(kind_before), failed.eq(0)]
    pipe.put(held_bad=bad_before | no_room, held_open=open_before, tried=try_it)
    pipe.step()
    pipe.put(
        open=pipe.held_open | (pipe.tried & ~seen),
        extension=ahead[0],
        routing=ahead[1],
        tcp=upper[0],
        udp=upper[1],
        bad=pipe.held_bad | failed,
    )
