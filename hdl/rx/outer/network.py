"""The outer IP header, and whether it is addressed to us."""

from functools import reduce
from operator import xor

from amaranth import Cat, Const, Mux
from amaranth.lib import data, memory

from hdl.parse.ethernet import FIRST_PAIR, by_place, holds_pair, pick_pair
from hdl.parse.pipe import BeatPipe, at_least
from hdl.registers.rx_tables import FOLD_FIELDS, FOLD_TURNS, LOCAL_BITS, LOCAL_FIELDS, LOCALS
from hdl.rx.outer.match import Match, match_write
from hdl.table.rows import row_layout

FRAGMENT = 44  # IPv6's fragment header
LOCAL_ROW = row_layout(LOCAL_FIELDS)
FIXED_PAIRS = 10  # of IPv6's fixed header
PART = 8  # bits of an address that are compared in one stage


def network(pipe: BeatPipe) -> None:
    """From the network header's place to what it says; 2 stages and a piece of the next.

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
    words = {at: Cat(getattr(pipe, f"second_{at}"), getattr(pipe, f"first_{at}")) for at in range(FIXED_PAIRS)}
    for name, v4_at, v6_at in (("source", 3, 2), ("destination", 4, 6)):
        last = Mux(v4, words[v4_at], words[v6_at + 3])
        for i, word in enumerate([*(Mux(v4, 0, words[v6_at + i]) for i in range(3)), last]):
            # all that it is not in IPv4 is told with the one pair that it is
            hit = Mux(v4, getattr(pipe, f"holds_{v4_at}"), getattr(pipe, f"holds_{v6_at + i}"))
            pipe.keep(hit, since_beat=first_beat(pipe, min(v4_at, v6_at)), **{f"{name}_{i}": word})
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
    )


def first_beat(pipe: BeatPipe, offset: int) -> int:
    """The beat that holds the pair at `offset` from the network header's start, without tags."""
    return (FIRST_PAIR + offset) // pipe.pairs


def local(pipe: BeatPipe, write, folds) -> None:
    """Is the destination a local address, and which? 3 stages and a piece of the next.

    ::

        destination ─┬─ fold ─ match ─ number ─ row ─ = ─ ours, local, ends
                     └──────────────────────────────┘

    A fold finds the one row that may hold the address; the driver sees to it that no two of them have the same.
    Gives `ours`, `local` (its number) and `ends` (which encapsulations end there, a bit each, see `LOCAL_FIELDS`).
    """
    m = pipe.m
    address = [getattr(pipe, f"destination_{3 - i}") for i in range(4)]
    m.submodules.folds = match = Match(FOLD_FIELDS)
    turned = [word.rotate_left(turn) for word, turn in zip(address, FOLD_TURNS, strict=True)]
    m.d.comb += [match.write.eq(folds), match.value[0].eq(reduce(xor, turned))]
    pipe.put(matches=match.hits[0])
    pipe.step()

    hits = [Cat(pipe.matches[n::LOCALS]).all() for n in range(LOCALS)]
    pipe.put(local=Cat(Cat(hit for n, hit in enumerate(hits) if n >> bit & 1).any() for bit in range(LOCAL_BITS)))
    pipe.step()

    m.submodules.locals = ram = memory.Memory(
        shape=LOCAL_ROW, depth=LOCALS, init=[], attrs={"ram_style": "distributed"}
    )
    write_port, read_port = ram.write_port(), ram.read_port(domain="comb")
    m.d.comb += [
        write_port.en.eq(write.valid),
        write_port.addr.eq(write.row),
        write_port.data.eq(write.entry),
        read_port.addr.eq(pipe.local),
    ]
    row = read_port.data
    expected = Cat(getattr(pipe, f"destination_{3 - i}") for i in range(4))
    pipe.put(
        same=Cat(row.address[at : at + PART] == expected[at : at + PART] for at in range(0, len(expected), PART)),
        row_fits=row.valid & (row.ipv6 == pipe.ipv6) & pipe.seen_destination & pipe.sound,
        ends=Cat(getattr(row, kind) for kind in ("gre", "vxlan", "geneve", "stt")),
    )
    pipe.step()
    pipe.put(ours=pipe.same.all() & pipe.row_fits)


FOLD_WRITE = match_write(FOLD_FIELDS)
LOCAL_WRITE = data.StructLayout({"valid": 1, "row": LOCAL_BITS, "entry": LOCAL_ROW})
