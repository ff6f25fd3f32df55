"""Runs the cocotb cases: one simulation for a width and a module of cases."""

import re
import shlex
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cocotb_tools.runner import get_runner

from sim.card.tops import RECEIVE, TRANSMIT, Top
from tests.cocotb.simulator import TOP, simulator
from tests.path.conftest import CONFIGS

CASES = ("encapsulations", "control", "updates")
RECEIVE_CASES = ("receive_control", "receive_updates")
WIDTHS = (pytest.param(8), *(pytest.param(width, marks=pytest.mark.full) for width in (16, 32, 64)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("cases", CASES)
def test_path(width: int, cases: str, tmp_path: Path) -> None:
    """All cases of a module pass. COCOTB_TEST_FILTER, a regular expression, picks some of them."""
    simulate(TRANSMIT, cases, width, tmp_path, f"test_path[{cases}-{width}]")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("cases", RECEIVE_CASES)
def test_receive_path(width: int, cases: str, tmp_path: Path) -> None:
    """The same for the receive path."""
    simulate(RECEIVE, cases, width, tmp_path, f"test_receive_path[{cases}-{width}]")


def simulate(top: Top, cases: str, width: int, tmp_path: Path, test: str) -> None:
    """Run a module of cases; fail with what failed, and how to repeat it."""
    folder, log, results = simulator(CONFIGS[width], top), tmp_path / "log", tmp_path / "results.xml"
    with suppress(SystemExit, RuntimeError):  # what failed is in the results
        get_runner("verilator").test(
            test_module=f"tests.cocotb.{cases}",
            hdl_toplevel=TOP,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=tmp_path,
            results_xml=str(results),
            log_file=log,
            extra_env={"TUNNELNIC_WIDTH": str(width)},
        )
    said = failures(results, f"tests/cocotb/test_path.py::{test}")
    if said is None:
        pytest.fail(f"the simulator died:\n{log.read_text()[-4000:]}", pytrace=False)
    if said:
        pytest.fail(said, pytrace=False)


def failures(results: Path, test: str) -> str | None:
    """What failed and how to repeat it; None without results, or with results of no case at all."""
    if not results.exists():
        return None
    cases = list(ElementTree.parse(results).iter("testcase"))
    said = []
    for case in cases:
        for failure in (*case.iter("failure"), *case.iter("error")):
            only = shlex.quote(re.escape(case.attrib["name"]) + "$")
            message = failure.get("message") or failure.text or "no message"
            said.append(
                f"{case.attrib['name']}: {message}\nrepeat with: COCOTB_TEST_FILTER={only} python -m pytest '{test}'"
            )
    return "\n\n".join(said) if cases else None
