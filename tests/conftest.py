"""Rules for every test: in continuous integration nothing may be skipped.

But for what no installation brings: tests marked `needs_kernel` want a kernel that lets us have network namespaces.
"""

import os

import pytest

FORBID_SKIPS = bool(os.environ.get("TUNNELNIC_FORBID_SKIPS"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Turn a skip into a failure where skips are forbidden."""
    outcome = yield
    report = outcome.get_result()
    allowed = hasattr(report, "wasxfail") or item.get_closest_marker("needs_kernel")
    if FORBID_SKIPS and report.skipped and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped, but nothing may be skipped here: {report.longrepr}"
