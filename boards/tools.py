"""The open synthesis tools, run as commands, with their output kept in a log."""

import subprocess
from pathlib import Path

from amaranth import ClockDomain, Module
from amaranth.back import verilog
from amaranth.lib import wiring

from boards.wrapper import Wrapper


class SynthesisError(Exception):
    """A tool failed; the message names its log."""


def write_verilog(block: wiring.Component, path: Path) -> None:
    """The wrapped block as Verilog, top module `top`.

    Reset is the chip's own: its global set/reset net gives every flip-flop the initial value that stands in the
    bitstream, as Amaranth's platforms have it, and takes none of the logic's wires.
    """
    top, clock, wrapper = Module(), ClockDomain("sync", reset_less=True), Wrapper(block)
    top.domains += clock
    top.submodules.wrapper = wrapper
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        verilog.convert(
            top, name="top", ports=[clock.clk, wrapper.serial_in, wrapper.serial_out], strip_internal_attrs=True
        )
    )


def run(command: list[str], log: Path) -> str:
    """Run a tool in the log's folder; its output, which is also written to `log`."""
    try:
        with log.open("w") as file:
            done = subprocess.run(command, cwd=log.parent, stdout=file, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        raise SynthesisError(f"{command[0]} is not installed; 'make synth' installs it into .venv") from None
    text = log.read_text()
    if done.returncode:
        raise SynthesisError(f"{command[0]} failed (exit {done.returncode}); the end of {log}:\n" + text[-2000:])
    return text
