"""`tunnelnic bench`: all that is measured on two cards and the wire between them, and what it comes to.

::

    article ── 32 KB writes ──────┐
    rfc2544 ── small packets ─────┼── rows ── tables, JSON, plot, a last sentence
    loss ───── packets that are lost ┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group

from hdl.config import NicConfig
from host import article, loss, rfc2544
from host.link import open_link, several
from host.progress import Advance, summed

NEAR_ENOUGH = 0.99  # of the wire's limit: GRE, in one direction and in both
MERGED = {1: 21, article.INTERLEAVED: 18}  # packets a delivered frame, at least, with so many flows
STT_COMPLETION = 64  # cycles from the last byte in, at most


@dataclass(frozen=True)
class Effort:
    """How much is simulated. More makes the figures steadier, not better."""

    writes: int  # of one flow
    interleaved_writes: int  # of each of the 64 flows
    sizes: Sequence[int]
    trial: int  # frames in a trial of RFC 2544
    lossy_writes: int
    losses: Sequence[float]
    names: Sequence[str] = tuple(article.NAMES)


NORMAL = Effort(writes=64, interleaved_writes=2, sizes=rfc2544.SIZES, trial=1500, lossy_writes=240, losses=loss.RATES)
QUICK = Effort(
    writes=32,
    interleaved_writes=1,
    sizes=(64, 512, 1518),
    trial=300,
    lossy_writes=60,
    losses=(0.0, 0.001, 0.01),
)


def run(nic: NicConfig, effort: Effort, progress: Advance) -> dict[str, Any]:
    """All figures. Raises Mismatch where a byte is not as it was sent, UserError where a card cannot be had."""
    progress(0, 1, f"compiling {nic.name}")
    names = effort.names
    jobs = len(names) * (article.JOBS + len(effort.sizes)) + loss.JOBS
    with several(open_link, nic) as links:
        progress = summed(progress, jobs)
        rows = article.article(links, names, effort.writes, effort.interleaved_writes, progress)
        small = rfc2544.small_packets(links, names, effort.sizes, effort.trial, progress)
        lossy = loss.loss(links, effort.lossy_writes, effort.losses, progress)
    return {
        "preset": nic.name,
        "rows": rows,
        "article": {name: {"goodput_bps": one, "aggregate_bps": both} for name, (one, both) in article.THEIRS.items()},
        "small_packets": small,
        "loss": lossy,
        "shortfalls": shortfalls(rows, small),
        "summary": article.sentence(rows, nic),
    }


def shortfalls(rows: Sequence[Mapping[str, Any]], small: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is not as it must be, a line each."""
    found = []
    for row in rows:
        what = f"{row['encapsulation']}, {row['flows']} flows"
        if row["encapsulation"] == loss.GRE and row["flows"] != article.INTERLEAVED and row["ratio"] < NEAR_ENOUGH:
            found.append(f"{what}: {row['ratio']:.2%} of the wire's limit, not {NEAR_ENOUGH:.0%}")
        if row["packets_per_completion"] < MERGED.get(row["flows"], 0):
            found.append(
                f"{what}: {row['packets_per_completion']:.1f} packets a delivered frame, not {MERGED[row['flows']]}"
            )
        if row["encapsulation"] == loss.STT and row["completion_cycles_max"] > STT_COMPLETION:
            found.append(f"{what}: {row['completion_cycles_max']} cycles to completion, not {STT_COMPLETION}")
    for row in small:
        if row["throughput_load"] < 1:
            what = f"{row['encapsulation']}, frames of {row['frame_bytes']} bytes"
            found.append(f"{what}: without loss only up to {row['throughput_load']:.0%} of the line")
    return found


def exit_code(found: Mapping[str, Any]) -> int:
    return 1 if found["shortfalls"] else 0


def shown(found: Mapping[str, Any], nic: NicConfig) -> Group:
    """All of it for people; the sentence is last."""
    return Group(
        article.table(found["rows"], nic),
        "",
        rfc2544.table(found["small_packets"], nic),
        "",
        loss.table(found["loss"], nic),
        loss.sentence(found["loss"]),
        *([""] if found["shortfalls"] else []),
        *(f"[bold red]too little: {line}[/]" for line in found["shortfalls"]),
        "",
        found["summary"],
    )
