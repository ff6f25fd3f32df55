"""What a run of the receiving card has to say: as JSON for machines, as a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from host import wire
from host.config import Terminate
from host.expect_receive import Comparison, Expected
from host.receive_simulation import SECOND, ReceiveRun, arrivals
from host.report import Report, per_second

TUNNEL = {"encapsulation", "local", "remote", "key", "vnet"}  # of an entry, in the report
SHOWN = 8  # tunnels in the table for people


def build(
    run: ReceiveRun,
    expected: Expected | None,
    comparison: Comparison | None,
    *,
    terminate: Sequence[Terminate],
    times: list[int] | None,
    padded: int,
    frames: int,
    elapsed: float,
) -> Report:
    """The figures of a run. `padded`: packets that were too short for a wire; `frames`: that the vports got.

    `coalescing`: packets in an average super-segment; `wire_seconds`: from the first byte to the last, as they came.
    """
    config, counters = run.config, run.counters
    large = [one.packets for one in run.deliveries if one.gso_size]
    return {
        "preset": config.name,
        "width_bits": 8 * config.width,
        "clock_hz": config.clock_hz,
        "line_bps": config.line_bps,
        "cycles": run.cycles,
        "simulated_seconds": run.cycles / config.clock_hz,
        "packets_in": len(run.packets),
        "bytes_in": sum(map(len, run.packets)),
        "padded": padded,
        "wire_seconds": arrivals(run.packets, times, config.line_bps)[-1] / SECOND if run.packets else 0.0,
        "wire_units": wire.units(map(len, run.packets)),
        "frames_delivered": counters["frames_delivered"],
        "packets_delivered": counters["packets_delivered"],
        "packets_slow": counters["packets_slow"],
        "drops": run.drops,
        "held": run.held,
        "overruns": run.overruns,
        "counters": counters,
        "frames_out": frames,
        "bytes_delivered": sum(len(one.frame) for one in run.deliveries),
        "super_segments": len(large),
        "coalescing": sum(large) / len(large) if large else None,
        "tunnels": by_tunnel(run, terminate),
        "bad_checksums": sum("bad" in (one.ip_checksum, one.l4_checksum) for one in run.deliveries),
        "completion_delay_cycles": run.delay,
        "open_contexts_peak": run.open_peak,
        "accounted": run.accounted,
        "checked": comparison.checked if comparison else 0,
        "mismatches": comparison.mismatches if comparison else 0,
        "first_mismatch": comparison.first if comparison else None,
        "reordered": comparison.reordered if comparison else 0,
        "simulation_seconds": run.seconds,
        "simulation_cycles_per_second": per_second(run.cycles, run.seconds),
        "check_seconds": expected.seconds if expected else None,
        "cycles_per_second_with_check": per_second(run.cycles, elapsed) if expected else None,
    }


def by_tunnel(run: ReceiveRun, terminate: Sequence[Terminate]) -> list[dict[str, Any]]:
    """What came through each tunnel, counted by the number of the `[[terminate]]` entry that each delivery has."""
    found = [
        {**entry.model_dump(mode="json", include=TUNNEL), "packets": 0, "frames": 0, "bytes": 0} for entry in terminate
    ]
    for one in run.deliveries:
        if one.entry is not None and one.entry < len(found):  # the comparison says so of a number that is not there
            mine = found[one.entry]
            mine["packets"] += one.packets
            mine["frames"] += 1
            mine["bytes"] += len(one.frame)
    return found


def exit_code(report: Mapping[str, Any]) -> int:
    """0 only if every packet is accounted for, nothing differs from the model and the card took all that came."""
    return 0 if report["accounted"] and not report["mismatches"] and not report["overruns"] else 1


def table(report: Mapping[str, Any]) -> Table:
    """A run for people."""
    good, bad = "green", "bold red"
    shown = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    shown.add_row("card", f"{report['preset']}: {report['width_bits']} bits at {report['clock_hz'] / 1e6:g} MHz")
    padded = f", {report['padded']:,} of them padded to 60" if report["padded"] else ""
    shown.add_row("in", f"{report['packets_in']:,} packets, {report['bytes_in']:,} bytes{padded}")
    shown.add_row(
        "delivered", f"{report['packets_delivered']:,} packets in {report['frames_delivered']:,} frames{merged(report)}"
    )
    if report["frames_out"] != report["frames_delivered"]:
        shown.add_row("handed up", f"{report['frames_out']:,} frames: cut again, to several vports or by the slow path")
    busy = sorted((one for one in report["tunnels"] if one["packets"]), key=lambda one: -int(one["packets"]))
    for number, one in enumerate(busy[:SHOWN]):
        shown.add_row("" if number else "tunnels", tunnel(one))
    if len(busy) > SHOWN:
        shown.add_row("", f"[dim]and {len(busy) - SHOWN} more in the report[/]")
    if report["packets_slow"]:
        shown.add_row("slow path", f"{report['packets_slow']:,} packets as they came")
    drops = ", ".join(f"{reason} {count:,}" for reason, count in report["drops"].items())
    shown.add_row("dropped", drops or "none", style="yellow" if drops else "")
    if report["bad_checksums"]:
        shown.add_row(
            "bad inside", f"{report['bad_checksums']:,} frames delivered with a wrong checksum", style="yellow"
        )
    if report["held"]:
        shown.add_row("held", f"{report['held']:,} packets of STT frames that are not whole", style="yellow")
    if report["overruns"]:
        shown.add_row("overruns", f"{report['overruns']:,}: packets came faster than the card took them", style=bad)
    shown.add_row(
        "accounted",
        "every packet" if report["accounted"] else "NOT every packet",
        style=good if report["accounted"] else bad,
    )
    delay = report["completion_delay_cycles"]
    if delay:
        shown.add_row("completion", f"{delay['median']:,g} cycles behind the last byte, {delay['maximum']:,} at most")
    shown.add_row("open", f"{report['open_contexts_peak']:,} frames at once, at most")
    shown.add_row("model", verdict(report))
    shown.add_row("simulation", f"{report['cycles']:,} cycles, {report['simulation_cycles_per_second']:,.0f} a second")
    return shown


def tunnel(row: Mapping[str, Any]) -> str:
    """A line for one of `tunnels`."""
    key = "" if row["key"] is None else f" key {row['key']:#x}"
    peer = f" from {row['remote']}" if row["remote"] else ""
    return (
        f"{row['encapsulation']} at {row['local']}{key}{peer}: {row['packets']:,} packets in {row['frames']:,} frames"
    )


def merged(report: Mapping[str, Any]) -> str:
    if not report["super_segments"]:
        return ""
    return f", {report['super_segments']:,} of them super-segments of {report['coalescing']:.1f} packets"


def verdict(report: Mapping[str, Any]) -> str:
    if report["mismatches"]:
        return (
            f"[bold red]{report['mismatches']:,} of {report['checked']:,} frames differ; {report['first_mismatch']}[/]"
        )
    if report["check_seconds"] is None:
        return "[dim]not checked[/]"
    if not report["checked"]:
        return "[green]no frames, as the model has it[/]"
    other = f", {report['reordered']:,} of them at another place between flows" if report["reordered"] else ""
    return f"[green]all {report['checked']:,} frames as the model has them{other}[/]"
