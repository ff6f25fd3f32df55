"""The outer IP header, and whether it is addressed to us."""

from amaranth import Cat, Const, Mux, Signal
from amaranth.lib import data

from hdl.parse.ethernet import FIRST_PAIR, by_place, holds_pair, pick_pair
from hdl.parse.pipe import BeatPipe, at_least
from hdl.registers.rx_tables import LOCAL_FIELDS, LOCALS
from hdl.table.rows import row_layout

FRAGMENT = 44  # IPv6's fragment header
LOCAL_ROW = row_layout(LOCAL_FIELDS)
FIXED_PAIRS = 10  # of IPv6's fixed header


def network(pipe: BeatPipe) -> None:
    """From the network header's place to what it says; 3 stages.

    ::

        pair   0                        1                             2                         3     4     5 .. 9
        IPv4  │ 4 IHL TOS │ length     │ ID     │ flags, offset      │ TTL, protocol │ checksum │ src │ dst │
        IPv6  │ 6 class label          │ length │ next header, limit │ source ...                    │ destination ...

    Gives `sound` (version and size hold), `at` (pair behind it), `tos`, `protocol`, `fragment`, `ip_end` (byte),
    `too_short` (the length has no room for the header), `source_0` .. `source_3`, `destination_0` .. (32 bits each, the
    last is least significant), `seen_destination` (the fixed part of the header is whole).
    """
    pairs = pipe.pair_words()
    for offset in range(FIXED_PAIRS):
        first, second = pick_pair(pipe, pairs, offset)
        pipe.put(**{f"first_{offset}": first, f"second_{offset}": second, f"holds_{offset}": holds_pair(pipe, offset)})
    for offset in (4, 9):  # where the fixed part of the header ends
        ends = [(4 * (FIRST_PAIR + tags + offset) + 2 - 1) % pipe.width + 1 for tags in range(3)]
        pipe.put(**{f"whole_{offset}": by_place(pipe, [at_least(pipe.bytes, end) for end in ends])})
    pipe.step()

    v4, ip = pipe.ipv4, pipe.ipv4 | pipe.ipv6
    version, ihl = pipe.first_0[12:16], pipe.first_0[8:12]
    pipe.keep(
        ip & pipe.holds_0,
        sound_kept=Mux(v4, (version == 4) & at_least(ihl, 5), version == 6),
        ihl=ihl,
        tos=Mux(v4, pipe.first_0[:8], pipe.first_0[4:12]),
        total_length=pipe.second_0,
    )
    pipe.keep(pipe.holds_1, payload=pipe.first_1, word_1=pipe.second_1)
    pipe.keep(pipe.holds_2, ttl_word=pipe.first_2)
    for i in range(4):
        words = {
            offset: Cat(getattr(pipe, f"second_{offset}"), getattr(pipe, f"first_{offset}")) for offset in range(10)
        }
        for name, v4_at, v6_at in (("source", 3, 2), ("destination", 4, 6)):
            if i < 3:
                pipe.keep(getattr(pipe, f"holds_{v6_at + i}"), **{f"{name}_kept_{i}": words[v6_at + i]})
            else:
                hit = Mux(v4, getattr(pipe, f"holds_{v4_at}"), getattr(pipe, f"holds_{v6_at + 3}"))
                pipe.keep(hit, **{f"{name}_kept_{i}": Mux(v4, words[v4_at], words[v6_at + 3])})
    pipe.sticky(
        seen_first=ip & pipe.holds_0,
        seen_destination=(v4 & pipe.holds_4 & pipe.whole_4) | (pipe.ipv6 & pipe.holds_9 & pipe.whole_9),
    )
    pipe.step()

    v4 = pipe.ipv4
    l3 = Cat(Const(2, 2), pipe.start - 1)[:5]  # byte
    pipe.put(
        l3=l3,
        sound=pipe.seen_first & pipe.sound_kept,
        at=Mux(v4, pipe.start + pipe.ihl, pipe.start + FIXED_PAIRS)[:5],
        protocol=Mux(v4, pipe.ttl_word[:8], pipe.word_1[8:]),
        fragment=Mux(v4, pipe.word_1[:14].any(), pipe.word_1[8:] == FRAGMENT),
        ip_end=Mux(v4, pipe.total_length + l3, pipe.payload + (l3 + 40))[:17],
        fragment_end=(l3 + 48)[:7],
        too_short=v4 & ~pipe.total_length[6:].any() & (pipe.total_length[2:6] < pipe.ihl),
        **{
            f"{name}_{i}": getattr(pipe, f"{name}_kept_{i}") & (~v4).replicate(32)
            if i < 3
            else getattr(pipe, f"{name}_kept_{i}")
            for name in ("source", "destination")
            for i in range(4)
        },
    )
    pipe.step()


def local(pipe: BeatPipe, write) -> None:
    """Compare the destination with every local address; 2 stages.

    Gives `ours`, `local` (its number) and `ends` (which encapsulations end there, a bit each, see `LOCAL_FIELDS`).
    """
    m = pipe.m
    rows = [Signal(LOCAL_ROW, name=f"local_{n}") for n in range(LOCALS)]
    for n, row in enumerate(rows):
        with m.If(write.valid & (write.row == n)):
            m.d.sync += row.eq(write.entry)
        same = Cat(getattr(pipe, f"destination_{3 - i}") == row.address[32 * i : 32 * i + 32] for i in range(4))
        pipe.put(**{f"same_{n}": Cat(same, row.valid & (row.ipv6 == pipe.ipv6))})
    pipe.step()
    hits = Cat(getattr(pipe, f"same_{n}").all() for n in range(LOCALS)) & (
        pipe.seen_destination & pipe.sound
    ).replicate(LOCALS)
    pipe.put(
        ours=hits.any(),
        local=Cat(
            Cat(hits[n] for n in range(LOCALS) if n >> bit & 1).any() for bit in range((LOCALS - 1).bit_length())
        ),
        ends=Cat(
            Cat(hits[n] & getattr(row, kind) for n, row in enumerate(rows)).any()
            for kind in ("gre", "vxlan", "geneve", "stt")
        ),
    )
    pipe.step()


LOCAL_WRITE = data.StructLayout({"valid": 1, "row": (LOCALS - 1).bit_length(), "entry": LOCAL_ROW})
assert FIRST_PAIR == 4
