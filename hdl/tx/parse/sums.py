"""Sums of a frame's headers, one for each part, and the flow hash."""

from functools import reduce
from operator import xor

from amaranth import Mux, Signal

from hdl.net.flow import (
    DESTINATION_PORT,
    DESTINATION_SUM,
    PROTOCOL,
    SOURCE_PORT,
    SOURCE_SUM,
    START,
    constant_part,
    part,
)
from hdl.net.protocol import TCP, UDP
from hdl.net.sum16 import fold
from hdl.parse.limits import HEADER_WORDS
from hdl.parse.pipe import BeatPipe

PARTS = {"ethernet": 11, "network": HEADER_WORDS, "source": 8, "destination": 8, "transport": 30}
"""What is summed, and the most words that each may have."""


def sums(pipe: BeatPipe) -> None:
    """Add up the words of each part up to this beat; 4 stages and one for each level of the adder tree.

    ::

        kept words ─ + a pair ─┬─ in_ethernet    ─ + ─ + ─ accumulate ─ fold ─ fold ─ sum_ethernet
                               ├─ in_network     ─ + ─ + ─ accumulate ─ fold ─ fold ─ sum_network
                               └─ ...                      zero behind `ends`

    An accumulator is wide enough never to wrap: 16-bit one's complement sums come of folding it at the end.
    """
    m = pipe.m
    kept = pipe.words(pipe.kept)
    firsts = [pipe.before(kept[-1], restart=0), *kept[1:-1:2]]
    totals = [first + second for first, second in zip(firsts, kept[0::2], strict=True)]
    for name in PARTS:
        inside = getattr(pipe, f"in_{name}")
        pipe.put(**{f"{name}_{lane}": Mux(inside[lane], total, 0) for lane, total in enumerate(totals)})
    pipe.step()

    count = pipe.pairs
    while count > 1:
        count //= 2
        for name in PARTS:
            terms = [getattr(pipe, f"{name}_{lane}") for lane in range(2 * count)]
            pipe.put(**{f"{name}_{lane}": terms[2 * lane] + terms[2 * lane + 1] for lane in range(count)})
        pipe.step()

    for name, words in PARTS.items():
        shape = (words * 0xFFFF).bit_length()
        carried = Signal(shape, name=f"carried_{name}")
        total = (carried + getattr(pipe, f"{name}_0"))[:shape]
        with m.If(pipe.valid):
            m.d.sync += carried.eq(Mux(pipe.ends, 0, total))
        pipe.put(**{f"total_{name}": total})
    pipe.step()
    pipe.put(**{f"total_{name}": _total(pipe, name)[:16] + _total(pipe, name)[16:] for name in PARTS})
    pipe.step()
    pipe.put(**{f"sum_{name}": fold(_total(pipe, name)) for name in PARTS})
    pipe.step()


def _total(pipe: BeatPipe, name: str):
    return getattr(pipe, f"total_{name}")


def flow_hash(pipe: BeatPipe) -> None:
    """The hash of the inner flow, from `by_address`, `by_ports` and the sums; 3 stages."""
    ports = pipe.ports
    pipe.put(
        hash_source=Mux(pipe.by_address, pipe.sum_source, pipe.sum_ethernet),
        hash_destination=Mux(pipe.by_address, pipe.sum_destination, 0),
        hash_ports=Mux(pipe.by_ports, ports, 0),
        hash_tcp=pipe.by_ports & pipe.tcp_header,
        hash_udp=pipe.by_ports & pipe.udp_header,
    )
    pipe.step()
    pipe.put(
        part_0=part(pipe.hash_source, SOURCE_SUM),
        part_1=part(pipe.hash_destination, DESTINATION_SUM),
        part_2=part(pipe.hash_ports[16:], SOURCE_PORT),
        part_3=part(pipe.hash_ports[:16], DESTINATION_PORT),
        part_4=Mux(pipe.hash_tcp, constant_part(TCP, PROTOCOL), 0)
        ^ Mux(pipe.hash_udp, constant_part(UDP, PROTOCOL), 0)
        ^ START,
    )
    pipe.step()
    pipe.put(hash=reduce(xor, [getattr(pipe, f"part_{i}") for i in range(5)]))
    pipe.step()
