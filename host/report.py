"""What a run has to say: as JSON for machines, as a table for people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from host import wire
from host.errors import UserError
from host.expect import Comparison, Expected
from host.simulation import Run

WIDTH_OF_A_FILE = 120

Report = dict[str, Any]


def build(run: Run, expected: Expected | None, comparison: Comparison | None, payload: int, elapsed: float) -> Report:
    """The figures of a run. `payload`: bytes; `elapsed`: seconds that simulation and check took together.

    `goodput_bps` counts TCP payload from the first packet's start to the last one's end, `limit_bps` the same payload
    over the least time that these packets can take.
    """
    config = run.config
    return {
        "preset": config.name,
        "width_bits": 8 * config.width,
        "clock_hz": config.clock_hz,
        "line_bps": config.line_bps,
        "cycles": run.cycles,
        "simulated_seconds": run.cycles / config.clock_hz,
        "frames_in": len(run.frames),
        "bytes_in": sum(len(frame.data) for frame in run.frames),
        "frames_sent": run.counters["frames_sent"],
        "frames_local": run.counters["frames_local"],
        "bytes_local": sum(len(one.data) for one in run.local),
        "unparsed": run.counters["unparsed"],
        "drops": run.drops,
        "segments_out": len(run.packets),
        "bytes_out": sum(len(packet.data) for packet in run.packets),
        "payload_bytes": payload,
        "wire_seconds": float(run.wire_seconds),
        "wire_utilisation": run.wire_utilisation,
        "goodput_bps": wire.rate(payload, float(run.wire_seconds)),
        "limit_bps": wire.rate(payload, wire.seconds(run.wire_units, config.line_bps)),
        "underruns": run.underruns,
        "accounted": run.accounted,
        "checked": comparison.checked if comparison else 0,
        "mismatches": comparison.mismatches if comparison else 0,
        "first_mismatch": comparison.first if comparison else None,
        "simulation_seconds": run.seconds,
        "simulation_cycles_per_second": per_second(run.cycles, run.seconds),
        "check_seconds": expected.seconds if expected else None,
        "cycles_per_second_with_check": per_second(run.cycles, elapsed) if expected else None,
    }


def per_second(count: int, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def exit_code(report: Mapping[str, Any]) -> int:
    """0 only if every frame is accounted for, nothing differs from the model and the wire never ran dry."""
    return 0 if report["accounted"] and not report["mismatches"] and not report["underruns"] else 1


def table(report: Mapping[str, Any]) -> Table:
    """A run for people."""
    good, bad = "green", "bold red"
    shown = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    shown.add_row("card", f"{report['preset']}: {report['width_bits']} bits at {report['clock_hz'] / 1e6:g} MHz")
    shown.add_row("in", f"{report['frames_in']:,} frames, {report['bytes_in']:,} bytes")
    shown.add_row("out", f"{report['segments_out']:,} packets, {report['bytes_out']:,} bytes")
    if report["frames_local"]:
        local = f"{report['frames_local']:,} frames, {report['bytes_local']:,} bytes"
        shown.add_row("to vports", f"{local}, without the wire")
    drops = ", ".join(f"{reason} {count:,}" for reason, count in report["drops"].items())
    shown.add_row("dropped", drops or "none", style="yellow" if drops else "")
    if report["unparsed"]:
        shown.add_row("unparsed", f"{report['unparsed']:,} frames sent whole, as they were", style="yellow")
    if report["underruns"]:
        shown.add_row("underruns", f"{report['underruns']:,}: the wire ran dry inside a packet", style=bad)
    shown.add_row(
        "accounted",
        "every frame" if report["accounted"] else "NOT every frame",
        style=good if report["accounted"] else bad,
    )
    shown.add_row(
        "on the wire", f"{report['wire_seconds'] * 1e6:,.3f} us, {report['wire_utilisation']:.2%} of line rate"
    )
    shown.add_row("goodput", f"{gigabits(report['goodput_bps'])} of {gigabits(report['limit_bps'])} possible")
    shown.add_row("model", verdict(report))
    shown.add_row("simulation", f"{report['cycles']:,} cycles, {report['simulation_cycles_per_second']:,.0f} a second")
    return shown


def verdict(report: Mapping[str, Any]) -> str:
    if not report["checked"] and not report["mismatches"]:
        return "[dim]not checked[/]" if report["check_seconds"] is None else "[green]no packets, as the model has it[/]"
    if report["mismatches"]:
        return (
            f"[bold red]{report['mismatches']:,} of {report['checked']:,} packets differ; {report['first_mismatch']}[/]"
        )
    return f"[green]all {report['checked']:,} packets as the model has them[/]"


def gigabits(bps: float) -> str:
    return f"{bps / 1e9:.4f} Gb/s"


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def show(report: Mapping[str, Any], shown: RenderableType, *, as_json: bool) -> None:
    """To standard output."""
    if as_json:
        print(json.dumps(report, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OF_A_FILE)
    console.print(shown)
