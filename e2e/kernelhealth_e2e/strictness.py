"""A pytest plugin: with KERNELHEALTH_REQUIRE_ALL=1 a skip fails; the last line has the numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

VARIABLE = "KERNELHEALTH_REQUIRE_ALL"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one; an expected failure (xfail) stays what it is."""
    report = yield
    if is_strict() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = _complaint(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself while it is collected into an error."""
    report = yield
    if is_strict() and report.skipped:
        report.outcome = "failed"
        report.longrepr = _complaint(report)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close with one plain line of numbers, whatever the runner's own summary looks like."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = getattr(reporter, "stats", {})
    failed = len(stats.get("failed", ())) + len(stats.get("error", ()))
    passed, skipped = len(stats.get("passed", ())), len(stats.get("skipped", ()))
    if reporter and passed + failed + skipped:
        reporter.write_line(f"{passed} passed, {failed} failed, {skipped} skipped")


def is_strict() -> bool:
    """Tell whether skips are failures in this run."""
    return os.environ.get(VARIABLE) == "1"


def _complaint(report: pytest.TestReport | pytest.CollectReport) -> str:
    # A skip's longrepr is (path, line, reason).
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return f"{VARIABLE}=1 and {report.nodeid} was skipped: {reason}"
