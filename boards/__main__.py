"""`make synth`: what the data path costs on real parts, and how fast it is there.

Writes build/synth/report.json and prints the same as a table:

* `tx-64-ecp5`, `rx-64-ecp5`: one direction at 64 bits, placed and routed for LFE5UM5G-85F-8, five fixed seeds;
* `nic-64-ecp5`: both together, one seed;
* `tx-512-xilinx7`, `rx-512-xilinx7`: one direction at 512 bits in 7-series cells, with the logic-only delay of its
  longest path.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring
from rich.console import Console
from rich.table import Table

from boards import ecp5, xilinx7
from boards.tools import SynthesisError
from hdl.config import PRESETS, NicConfig
from hdl.nic import Nic
from hdl.rx.path import RxPath
from hdl.tx.path import TxPath

BUILD = Path("build/synth")

Design = Callable[[NicConfig], wiring.Component]
ECP5: dict[str, tuple[Design, int]] = {  # and how many seeds at most
    "tx-64-ecp5": (TxPath, 5),
    "rx-64-ecp5": (RxPath, 5),
    "nic-64-ecp5": (Nic, 1),
}
XILINX7: dict[str, Design] = {"tx-512-xilinx7": TxPath, "rx-512-xilinx7": RxPath}
DESIGNS = (*ECP5, *XILINX7)


def on_ecp5(console: Console, name: str, seeds: tuple[int, ...]) -> dict:
    """A 64-bit design on ECP5."""
    design, most = ECP5[name]
    seeds = seeds[:most]
    with console.status(name) as status:
        report = ecp5.place_and_route(
            design(PRESETS["10g"]), BUILD / name, seeds=seeds, progress=lambda what: status.update(f"{name}: {what}")
        )
    return {
        "part": "LFE5UM5G-85F-8",
        "preset": "10g",
        "lut4": report.lut4,
        "ff": report.ff,
        "block_ram": report.block_ram,
        "fmax_mhz": round(report.median_mhz, 2),
        "fmax_mhz_by_clock": report.fmax_mhz,
        "seeds": list(seeds),
        "worst_path": report.worst_path,
    }


def on_xilinx7(console: Console, name: str) -> dict:
    """A 512-bit design in 7-series cells."""
    with console.status(f"{name}: synthesis"):
        report = xilinx7.synthesise(XILINX7[name](PRESETS["100g"]), BUILD / name)
    return {
        "part": "7-series cells",
        "preset": "100g",
        "lut": report.lut,
        "ff": report.ff,
        "block_ram": report.block_ram,
        "logic_path_ns": report.logic_path_ns,
        "lut_levels": report.lut_levels,
        "worst_path": report.worst_path,
    }


def show(console: Console, reports: dict[str, dict]) -> None:
    """The figures as a table, then each worst path."""
    table = Table(title="Synthesis")
    for column in ("design", "part", "LUT", "FF", "block RAM", "speed"):
        table.add_column(column, justify="left" if column in ("design", "part") else "right")
    for name, report in reports.items():
        speed = (
            f"{report['fmax_mhz']} MHz, median of {len(report['seeds'])} seeds"
            if "fmax_mhz" in report
            else f"{report['logic_path_ns']} ns of logic, {report['lut_levels']} LUT levels"
        )
        lut = report.get("lut4", report.get("lut"))
        table.add_row(name, report["part"], f"{lut:,}", f"{report['ff']:,}", f"{report['block_ram']:g}", speed)
    console.print(table)
    for name, report in reports.items():
        for clock, values in report.get("fmax_mhz_by_clock", {}).items():
            console.print(f"{name}: {clock}: " + ", ".join(f"{value:.1f}" for value in values) + " MHz")
        console.print(f"{name}: worst path", style="bold")
        for hop in report["worst_path"]:
            console.print("  " + hop, highlight=False)


def main() -> int:
    """Build what is asked for; 0 if all of it was built."""
    parser = argparse.ArgumentParser(prog="python -m boards", description=__doc__.split("\n")[0])
    parser.add_argument("--design", choices=DESIGNS, action="append", help="only this one (more than one is possible)")
    parser.add_argument("--seeds", type=int, default=len(ecp5.SEEDS), help="how many place-and-route seeds (at most 5)")
    arguments = parser.parse_args()
    console = Console()
    reports: dict[str, dict] = {}
    try:
        for name in arguments.design or DESIGNS:
            if name in ECP5:
                reports[name] = on_ecp5(console, name, ecp5.SEEDS[: arguments.seeds])
            else:
                reports[name] = on_xilinx7(console, name)
    except SynthesisError as error:
        print(f"synthesis: {error}", file=sys.stderr)
        return 1
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "report.json").write_text(json.dumps(reports, indent=2) + "\n")
    show(console, reports)
    console.print(f"written: {BUILD / 'report.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
