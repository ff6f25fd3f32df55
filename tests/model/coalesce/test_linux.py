"""The model against the Linux kernel: 1,412 bursts, and a name for everything that the kernel does otherwise.

The kernel coalesces before the tunnel comes off and once more behind it; the model only behind it. A difference is a
pair of packets that follow each other in a frame of one side only. Each such pair has to be explained by what stands in
its two packets, by a predicate below; frames of the same packets have to be the same byte for byte.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from struct import unpack_from

import pytest

from sim.model.coalesce.coalescer import coalesce
from sim.model.coalesce.packet import Arrival, Delivery
from sim.model.coalesce.rules import flow
from sim.model.parse import parse
from tests.support import gro
from tests.support.decapsulate import Dropped, Inner, decapsulate, verify

CASES = {case.name: case for case in gro.load()}

OUTER = "only outer headers differ"  # the packets came through one tunnel: merging them loses nothing
RESERVED = "VXLAN's reserved bits"  # the kernel drops such packets; RFC 7348 says to ignore the bits
FLOWS = "more than 8 flows"  # the kernel holds 8 runs a bucket, and these packets have no hash: one bucket
NO_VLAN = "6.18 without 802.1Q"  # that host's kernel does not look behind a tag; 6.1 shows what one does
CWR_FIRST = "6.1 has CWR on a run's first"  # 6.18 has not: the mark that this needs corrupts AccECN (RFC 9768)
FIXED_ID = "6.18 has one ID without DF"  # 6.1 has not: without DF the ID is there for reassembly (RFC 6864)
URGENT = "urgent pointer without URG"  # the kernel keeps the first one only: cut again, the packets would not come back
OVERTAKEN = "order: a packet overtakes its flow"  # the kernel passes it while the run in front of it is held
BURST_END = "order: tunnels at the end of a burst"  # what is open then goes up tunnel by tunnel

EXPECTED = {
    OUTER: 67,
    RESERVED: 25,
    FLOWS: 26,
    NO_VLAN: 21,
    CWR_FIRST: 24,
    FIXED_ID: 9,
    URGENT: 8,
    OVERTAKEN: 46,
    BURST_END: 9,
}


@dataclass
class Burst:
    """One case, decapsulated: by packet number."""

    case: gro.Case
    inner: dict[int, Inner] = field(default_factory=dict)
    arrivals: dict[int, Arrival] = field(default_factory=dict)

    def coalesced(self, without: frozenset[int] = frozenset()) -> list[tuple[tuple[int, ...], Delivery]]:
        """What the model makes of it, with the numbers of the packets in each frame."""
        number = {id(arrival): number for number, arrival in self.arrivals.items()}
        done = coalesce(arrival for number, arrival in self.arrivals.items() if number not in without)
        return [(tuple(number[id(arrival)] for arrival in one.arrivals), one) for one in done]

    def outer(self, number: int) -> bytes:
        """The outer headers, from the IP header on."""
        return self.case.packets[number][14 : 14 + self.inner[number].outer]


def take(case: gro.Case) -> Burst:
    burst = Burst(case)
    for number, packet in enumerate(case.packets):
        try:
            inner = decapsulate(packet, case.links)
        except Dropped:
            continue
        burst.inner[number] = inner
        burst.arrivals[number] = Arrival(
            inner.frame,
            time=number,
            vnet=inner.tunnel,
            tunnel=inner.tunnel,
            checksum=verify(inner.frame),
            outer=inner.outer,
            options=inner.options,
            control=inner.control,
        )
    return burst


@cache
def differences(name: str) -> frozenset[str]:
    """The classes of difference that a case shows; fails on any other."""
    burst, found = take(CASES[name]), set()
    case, taken = burst.case, set(burst.inner)

    ours_only = taken & set(case.missing)
    assert taken | set(case.missing) == set(range(len(case.packets))), "dropped a packet that the kernel took"
    for number in ours_only:
        assert burst.inner[number].vxlan_reserved, f"took packet {number}, that the kernel dropped"
        found.add(RESERVED)

    ours, theirs = burst.coalesced(frozenset(ours_only)), case.frames
    assert sorted(number for numbers, _ in ours for number in numbers) == sorted(taken - ours_only), "exactly once"
    kernel = {frame.packets: frame for frame in theirs}
    for numbers, delivery in ours:
        if numbers in kernel:
            same_frame(delivery, kernel[numbers])
    our_pairs, their_pairs = pairs(numbers for numbers, _ in ours), pairs(kernel)
    for pair in our_pairs - their_pairs:
        found.add(why_they_cut(burst, *pair))
    for pair in their_pairs - our_pairs:
        found.add(why_we_cut(burst, *pair))

    order = [numbers for numbers, _ in ours]
    if our_pairs == their_pairs and order != list(kernel):
        found.add(OVERTAKEN if overtakes(burst, list(kernel)) else BURST_END)
    return frozenset(found)


def same_frame(ours: Delivery, theirs: gro.Frame) -> None:
    """Headers and payload, and what the host is told about them."""
    assert ours.frame == theirs.content
    assert (ours.gso_size, ours.gso_type) == (theirs.gso_size, theirs.gso_type)
    assert (ours.checksum == "partial") == (ours.segments > 1) == (theirs.gso_size > 0)
    if theirs.flags == 2:
        assert ours.checksum == "good"


def pairs(frames: Iterator[tuple[int, ...]] | dict[tuple[int, ...], gro.Frame]) -> set[tuple[int, int]]:
    return {pair for numbers in frames for pair in pairwise(numbers)}


def why_they_cut(burst: Burst, first: int, second: int) -> str:
    """Why the kernel kept two packets apart that the model has one behind the other in a frame."""
    case = burst.case
    if case.kernel.startswith("6.18") and burst.inner[first].frame[12:14] == b"\x81\x00":
        return NO_VLAN
    if len({(inner.tunnel, flow(arrival, parse(arrival.frame))) for inner, arrival in both(burst)}) > 8:
        assert all(len(frame.packets) == 1 for frame in case.frames)
        return FLOWS
    ended = next(frame.packets for frame in case.frames if first == frame.packets[-1])
    if fixed_without_df(burst, ended):
        return FIXED_ID
    one, other = burst.inner[first], burst.inner[second]
    assert (one.tunnel, one.options) == (other.tunnel, other.options) and not one.control | other.control
    assert outer_breaks(burst.outer(first), burst.outer(second)), f"merged {first} and {second}; the kernel did not"
    return OUTER


def why_we_cut(burst: Burst, first: int, second: int) -> str:
    """Why the model keeps two packets apart that the kernel has one behind the other in a frame."""
    whole = next(frame.packets for frame in burst.case.frames if first in frame.packets)
    if tcp_word(burst, first, 18) != tcp_word(burst, second, 18):
        return URGENT
    if first == whole[0] and tcp_word(burst, first, 12) & 0x80 and burst.case.kernel.startswith("6.1."):
        return CWR_FIRST
    assert fixed_without_df(burst, whole), f"did not merge {first} and {second}; the kernel did"
    return FIXED_ID


def both(burst: Burst) -> Iterator[tuple[Inner, Arrival]]:
    return ((burst.inner[number], burst.arrivals[number]) for number in burst.inner)


def tcp_word(burst: Burst, number: int, at: int) -> int:
    headers = parse(burst.inner[number].frame)
    word: int = unpack_from("!H", headers.frame, headers.l4 + at)[0]
    return word


def fixed_without_df(burst: Burst, numbers: tuple[int, ...]) -> bool:
    """Whether a kernel's frame is of packets of one IPv4 identification, with DF clear."""
    heads = [parse(burst.inner[number].frame) for number in numbers]
    words = {head.frame[head.l3 + 4 : head.l3 + 8] for head in heads}  # identification, flags, offset
    return (
        burst.case.kernel.startswith("6.18")
        and heads[0].ip_version == 4
        and len(numbers) > 1
        and len(words) == 1
        and not words.pop()[2] & 0x40
    )


def outer_breaks(first: bytes, second: bytes) -> bool:
    """Whether the outer headers alone keep the kernel from merging.

    They differ in more than lengths and checksums, or the outer IPv4 identification does not go on by one. Behind a
    GRE header with a checksum the kernel takes that checksum for the key (gre_gro_receive), so it counts there.
    """
    return steady(first) != steady(second) or (
        first[0] >> 4 == 4 and (unpack_from("!H", second, 4)[0] - unpack_from("!H", first, 4)[0]) & 0xFFFF != 1
    )


def steady(outer: bytes) -> tuple[bytes, bytes]:
    """What a run has in common: the outer IP header without lengths, identification and checksum; what is behind it."""
    if outer[0] >> 4 == 4:
        size, protocol = 4 * (outer[0] & 15), outer[9]
        ip = outer[:2] + outer[6:10] + outer[12:size]
    else:
        size, protocol = 40, outer[6]
        ip = outer[:4] + outer[6:40]
    rest = outer[size:]
    if protocol != 17:
        return ip, rest
    return ip, rest[:4] + bytes([rest[6:8] != b"\0\0"]) + rest[8:]  # no UDP length; whether there is a checksum


def overtakes(burst: Burst, frames: list[tuple[int, ...]]) -> bool:
    """Whether packets of a tunnel are out of order: each of these bursts has one flow a tunnel, or all in order."""
    by_tunnel = defaultdict(list)
    for numbers in frames:
        by_tunnel[burst.inner[numbers[0]].tunnel].append(numbers[0])
    return any(numbers != sorted(numbers) for numbers in by_tunnel.values())


def test_all_cases_are_there():
    assert len(CASES) == 1412


@pytest.mark.parametrize("name", CASES)
def test_as_linux(name: str):
    differences(name)


def test_differences_are_named_and_counted():
    counted = Counter(difference for name in CASES for difference in differences(name))
    assert counted == EXPECTED
    assert sum(not differences(name) for name in CASES) == 1177


@pytest.mark.parametrize("name", CASES)
def test_cut_again_gives_the_packets_that_came(name: str):
    """Also where the model merges more than the kernel: packets with VXLAN's reserved bits are in here."""
    burst = take(CASES[name])
    delivered = burst.coalesced()
    assert sorted(number for numbers, _ in delivered for number in numbers) == sorted(burst.inner)
    for _, delivery in delivered:
        assert delivery.cut_again() == [arrival.frame for arrival in delivery.arrivals]


@pytest.mark.parametrize("name", CASES)
def test_a_flow_keeps_its_order(name: str):
    burst = take(CASES[name])
    by_flow: defaultdict[Hashable | None, list[int]] = defaultdict(list)
    for numbers, delivery in burst.coalesced():
        by_flow[flow(delivery.arrivals[0], parse(delivery.arrivals[0].frame))] += numbers
    by_flow.pop(None, None)
    assert all(numbers == sorted(numbers) for numbers in by_flow.values())


def test_bad_packets_are_flagged():
    """The kernel says "not looked at" of them; the card says "bad"."""
    for name, case in CASES.items():
        bad = [delivery for _, delivery in take(case).coalesced() if delivery.checksum == "bad"]
        assert len(bad) == case.varies.startswith("bad inner"), name
        assert all(delivery.segments == 1 for delivery in bad), name
