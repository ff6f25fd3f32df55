"""What is read out of Yosys' reports."""

import pytest

from boards.tools import SynthesisError
from boards.xilinx7 import _parse

STAT = """
        6   24 cells
        1       CARRY4
       10       FDRE
        2       FDSE
        3       LUT2
        4       LUT6
        1       RAMB18E1
        2       RAMB36E1
"""
STA = """
Latest arrival time in 'top' is 2504:
      2504 _4855_ (FDRE.D)
      2504 _4049_ (CARRY4.CI->O)
      1806 _4045_ (LUT6.S->CO)
      1305 _3641_ (LUT4.I1->O)
       399 _8025_ (FDRE.C->Q)
         0 \\clk (<primary input>)
Arrival histogram:
"""


def test_counts_and_path() -> None:
    """Cells by kind, block RAM in whole RAMB36, the path and its LUTs."""
    report = _parse(STAT, STA)
    assert (report.lut, report.ff, report.block_ram) == (7, 12, 2.5)
    assert (report.logic_path_ns, report.lut_levels, len(report.worst_path)) == (2.504, 2, 6)


def test_no_path_is_an_error() -> None:
    """A report without a path is not a fast design."""
    with pytest.raises(SynthesisError, match="found no path"):
        _parse(STAT, "nothing")
