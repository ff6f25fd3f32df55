"""What a lossy wire costs: STT, whose frames need every packet, against GRE, which loses only what is lost.

Packets of 32 KB writes are lost at random between the cards, and what arrives is counted: payload that was handed up,
over the time that the wire was busy with all that was sent. There is no TCP sender behind it that would slow down or
send again: it is delivered payload, not what a connection would reach.

::

    GRE    p p p . p p p p      7 of 8 arrive
    STT    p p p . p p p p      nothing of the frame arrives
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import log
from random import Random
from typing import Any

from rich.table import Table

from hdl.config import NicConfig
from host import wire
from host.article import frames_of
from host.encapsulations import all_tunnels, config_of
from host.flows import writes
from host.link import Link, spread
from host.progress import Advance

GRE, STT = "gre key ipv4", "stt frame ipv4"
RATES = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01)
SEED = 7
JOBS = 2


def sweep(name: str, number: int, rates: Sequence[float]) -> Callable[[Link], list[dict[str, Any]]]:
    """One encapsulation at all loss rates. A packet that is lost at one rate is lost at all higher ones."""
    config = config_of(all_tunnels()[name])

    def run(link: Link) -> list[dict[str, Any]]:
        sent = link.transmit(config, frames_of(config, [list(writes(number))]))
        random = Random(SEED)
        luck = [random.random() for _ in sent.packets]
        seconds = float(sent.end_ns(link.nic.line_bps)) / 1e9
        each, limit = len(sent.packets) // number, wire.rate(sent.payload, seconds)
        found = []
        for rate in rates:
            kept = [packet for packet, chance in zip(sent.packets, luck, strict=True) if chance >= rate]
            arrived = link.receive(config, sent, kept)
            found.append(
                {
                    "encapsulation": name,
                    "loss": rate,
                    "packets": len(sent.packets),
                    "packets_lost": len(sent.packets) - len(kept),
                    "goodput_bps": wire.rate(arrived.payload, seconds),
                    "expected_bps": limit * (1 - rate) ** (each if name == STT else 1),
                    "delivered": arrived.payload / sent.payload,
                    "packets_per_frame": each,
                    "packets_per_completion": arrived.packets_per_completion,
                    "overruns": arrived.overruns,
                }
            )
        return found

    return run


def loss(links: Sequence[Link], number: int, rates: Sequence[float], progress: Advance) -> dict[str, Any]:
    """Rows, and the loss rate at which the two deliver the same."""
    jobs = [(f"loss, {name}", sweep(name, number, rates)) for name in (GRE, STT)]
    gre, stt = spread(links, jobs, progress)
    return {
        "rows": [*gre, *stt],
        "crossover": crossover(rates, gre, stt, "goodput_bps"),
        "expected_crossover": expected_crossover(gre[0], stt[0]),
    }


def crossover(
    rates: Sequence[float], gre: Sequence[dict[str, Any]], stt: Sequence[dict[str, Any]], key: str
) -> float | None:
    """Where STT's curve goes below GRE's, by straight lines between the points; None if it never does."""
    ahead = [theirs[key] - ours[key] for ours, theirs in zip(gre, stt, strict=True)]
    for (low, high), (before, after) in zip(pairwise(rates), pairwise(ahead), strict=True):
        if before >= 0 > after:
            return low + (high - low) * before / (before - after)
    return None


def expected_crossover(gre: dict[str, Any], stt: dict[str, Any]) -> float:
    """Where S (1 - p)^n = G (1 - p), from the goodput without loss; 0 where STT is never ahead."""
    ratio, each = stt["goodput_bps"] / gre["goodput_bps"], stt["packets_per_frame"]
    return max(0.0, 1 - ratio ** (-1 / (each - 1))) if ratio > 0 and log(ratio) > 0 and each > 1 else 0.0


def table(found: dict[str, Any], nic: NicConfig) -> Table:
    """The sweep for people."""
    by = {(row["encapsulation"], row["loss"]): row for row in found["rows"]}
    shown = Table(title=f"{nic.name}: delivered payload of 32 KB writes on a lossy wire, Gb/s", title_justify="left")
    for heading in ("packets lost", "GRE", "expected", "STT", "expected", "wins"):
        shown.add_column(heading, justify="left" if heading == "wins" else "right")
    for rate in dict.fromkeys(row["loss"] for row in found["rows"]):
        gre, stt = by[GRE, rate], by[STT, rate]
        figures = [f"{one[key] / 1e9:.3f}" for one in (gre, stt) for key in ("goodput_bps", "expected_bps")]
        shown.add_row(f"{rate:.2%}", *figures, "STT" if stt["goodput_bps"] > gre["goodput_bps"] else "GRE")
    return shown


def sentence(found: dict[str, Any]) -> str:
    """Where each wins, and what is not in it."""
    at = found["crossover"]
    where = (
        "neither overtakes the other in this range"
        if at is None
        else f"STT wins below {at:.2%} of packets lost, GRE above (expected {found['expected_crossover']:.2%})"
    )
    each = next(row["packets_per_frame"] for row in found["rows"] if row["encapsulation"] == STT)
    return (
        f"{where}: a lost packet costs GRE that packet, STT its frame of {each}. There is no TCP sender behind this: "
        "it is payload delivered, and says nothing of how a connection would slow down."
    )
