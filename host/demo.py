"""`tunnelnic demo`: what a real web server handed to its NIC, through every encapsulation.

::

    tests/captures/web-server-tx.pcap ── card (10g) ── build/demo/NAME.pcap, a line of the table
                                                       build/demo/NAME.in.pcapng
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from host import captures, report
from host.encapsulations import all_tunnels, config_of
from host.errors import UserError
from host.progress import progress_bar
from host.segment import annotated, output_packets, run, to_frames
from host.simulation import open_card, preset

ROOT = Path(__file__).parents[1]
CAPTURE = ROOT / "tests" / "captures" / "web-server-tx.pcap"


def demo(preset_name: str, source: Path, folder: Path) -> list[report.Report]:
    """A report for each encapsulation, its name and its captures' paths in it.

    The capture of what went in says in each packet's comment how the host had it cut; `tunnelnic segment` follows it.
    """
    nic, packets, tunnels = preset(preset_name), captures.read(source), all_tunnels()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    reports = []
    with open_card(nic) as card, progress_bar("demo", patience=0) as progress:
        for done, (name, tunnel) in enumerate(tunnels.items()):
            progress(done, len(tunnels), name)
            config = config_of(tunnel)
            frames = to_frames(packets, config)
            finished, figures = run(card, config, nic, frames, lambda *_: None)
            given, target = (folder / f"{name.replace(' ', '-')}{ending}" for ending in (".in.pcapng", ".pcap"))
            captures.write(given, annotated(packets, frames))
            captures.write(target, output_packets(finished))
            reports.append({"encapsulation": name, "input": str(given), "capture": str(target), **figures})
    return reports


def table(reports: list[report.Report]) -> Table:
    """The demo for people."""
    shown = Table(title="a web server's super-segments, MTU 1500", title_justify="left")
    for heading in ("encapsulation", "segments", "goodput", "wire limit", "ratio", "same as model"):
        shown.add_column(heading, justify="left" if heading == "encapsulation" else "right")
    for figures in reports:
        shown.add_row(
            figures["encapsulation"],
            f"{figures['segments_out']:,}",
            report.gigabits(figures["goodput_bps"]),
            report.gigabits(figures["limit_bps"]),
            f"{ratio(figures):.4f}",
            passed(figures),
        )
    return shown


def ratio(figures: report.Report) -> float:
    return float(figures["goodput_bps"] / figures["limit_bps"]) if figures["limit_bps"] else 0.0


def passed(figures: dict[str, Any]) -> str:
    """How many packets are as the model has them."""
    good = figures["checked"] - figures["mismatches"]
    colour = "green" if report.exit_code(figures) == 0 else "bold red"
    return f"[{colour}]{good:,} of {figures['checked']:,}[/]"
