"""The fixed part of an IPv4 or IPv6 header."""

from amaranth import Cat, Const, Mux

from hdl.net.protocol import EXTENSION_HEADERS, ROUTING, TCP, UDP
from hdl.parse.ethernet import holds_pair, pick_pair
from hdl.parse.limits import HEADER_WORDS
from hdl.parse.pipe import BeatPipe, at_least


def upper(number):
    """What an IP protocol or next header number says: extension, routing, TCP, UDP (one bit each)."""
    return Cat(number.matches(*EXTENSION_HEADERS), number == ROUTING, number == TCP, number == UDP)


def network(pipe: BeatPipe) -> None:
    """From the network header's place to what follows it; 7 stages.

    ::

        pair   0                        1                             2
        IPv4  │ 4 IHL TOS │ length     │ ID     │ flags, offset      │ TTL, protocol │ checksum │ addresses ...
        IPv6  │ 6 class label          │ length │ next header, limit │ addresses ...

    Gives `recognised` (version and lengths hold), `tos`, the words `ip_length`, `ip_id`, `ip_checksum` as they came,
    `ip_end` (bytes), `limit` (pairs in front of which every header must end), and the walk through what follows:

    * `open`: the beats so far do not tell yet where the headers end;
    * `at`: the pair at which the next header begins, or at which the headers have ended;
    * `extension`, `routing`, `tcp`, `udp`: what begins there; none: the walk is over;
    * `bad`: the frame says that it is IP, but cannot be parsed.

    A header whose version or size is wrong ends behind its first pair.
    """
    pairs = pipe.pair_words()
    for offset in range(3):
        first, second = pick_pair(pipe, pairs, offset)
        pipe.put(**{f"first_{offset}": first, f"second_{offset}": second, f"holds_{offset}": holds_pair(pipe, offset)})
    pipe.step()

    # -- decode each pair wherever it is; capture it where it counts
    v4, ip = pipe.ipv4, pipe.ipv4 | pipe.ipv6
    version, ihl = pipe.first_0[12:16], pipe.first_0[8:12]
    pipe.put(
        sound_version=Mux(v4, version == 4, version == 6),
        sound_ihl=pipe.ipv6 | at_least(ihl, 5),
        ihl=ihl,
        tos_here=Mux(v4, pipe.first_0[:8], pipe.first_0[4:12]),
        length_here=Mux(v4, pipe.second_0, pipe.first_1),
        fragment_here=v4 & pipe.second_1[:14].any(),
        next_here=Mux(v4, pipe.first_2[:8], pipe.second_1[8:]),
        hit_first=ip & pipe.holds_0,
        hit_length=Mux(v4, pipe.holds_0, pipe.holds_1),
        hit_next=ip & Mux(v4, pipe.holds_2, pipe.holds_1),
        fixed=Cat(Const(2, 2), Mux(pipe.ipv6, pipe.start + 9, pipe.start - 1)[:4]),  # bytes that the length leaves out
        reach_pairs=((pipe.length[:7] + 2) >> 2)[:6],  # pairs that end within the frame, if it is shorter than 128
        reach_far=pipe.length[7:].any(),
    )
    pipe.step()
    pipe.keep(pipe.hit_first, ihl_kept=pipe.ihl, tos=pipe.tos_here, sound=pipe.sound_version & pipe.sound_ihl)
    pipe.keep(pipe.hit_length, ip_length=pipe.length_here)
    pipe.keep(pipe.holds_1, ip_id=pipe.first_1, fragment=pipe.fragment_here)
    pipe.keep(pipe.holds_2, ip_checksum=pipe.second_2)
    pipe.keep(pipe.hit_next, upper=upper(pipe.next_here))
    pipe.sticky(seen_first=pipe.hit_first, seen_next=pipe.hit_next)
    pipe.step()

    pipe.put(
        end_ipv4=(pipe.start + pipe.ihl_kept)[:5],
        ip_end=(pipe.ip_length + pipe.fixed)[:17],
        long_enough=pipe.ipv6 | pipe.ip_length[6:].any() | (pipe.ip_length[2:6] >= pipe.ihl_kept),
    )
    pipe.step()
    pipe.put(
        fits=pipe.reach_far | (pipe.end_ipv4 <= pipe.reach_pairs) | pipe.ipv6,
        ip_fits=pipe.ip_end <= pipe.length,
        end_here=Mux(pipe.ipv4, pipe.end_ipv4, pipe.start + 10)[:5],
        limit_deep=pipe.ip_end[9:].any(),
        limit_near=(pipe.ip_end[2:9] + pipe.ip_end[1])[:8],
    )
    pipe.step()
    pipe.put(
        limit=Mux(pipe.limit_deep, HEADER_WORDS // 2, pipe.limit_near),
        recognised=pipe.seen_first & pipe.sound & pipe.fits,
        unsound=pipe.seen_first & ~(pipe.sound & pipe.fits),
        valid_length=pipe.ip_fits & pipe.long_enough,
    )
    pipe.step()
    known = pipe.seen_next & pipe.recognised & pipe.valid_length
    extension, routing, tcp, udp = pipe.upper
    pipe.put(
        open=(pipe.ipv4 | pipe.ipv6) & ~pipe.seen_next & ~pipe.unsound,
        at=Mux(pipe.recognised, pipe.end_here, pipe.start + pipe.unsound)[:8],
        extension=known & extension & pipe.ipv6,
        routing=known & routing,
        tcp=known & tcp & ~pipe.fragment,
        udp=known & udp & ~pipe.fragment,
        bad=pipe.cut_short | pipe.unsound | (pipe.recognised & ~pipe.valid_length),
        limit_extension=(pipe.limit - 2)[:8],
    )
    pipe.step()
