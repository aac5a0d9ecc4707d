"""How long a node has been up, as if it were a finding: then all else need not know better."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Match
from kernelhealth_operator.policy.situation import Report

UPTIME: Final = "Uptime"
"""Reason of what is no finding of any agent: the node has been up for as long as a rule says."""
_HOUR = timedelta(hours=1)


def aged(report: Report) -> Finding | None:
    """Return the age of the node as a finding; None where the boot's time is not known.

    Its value is in hours. It is of severity Info, so that whatever is wrong comes first.
    """
    if report.uptime is None or report.uptime < timedelta(0):
        return None
    hours = report.uptime / _HOUR
    return Finding(
        reason=UPTIME,
        severity=Severity.INFO,
        message=f"The node has been up for {int(hours)} hour{'' if int(hours) == 1 else 's'}.",
        since=report.booted or report.reported_at,
        value=hours,
    )


def old_enough(wanted: Match, finding: Finding) -> bool:
    """Whether *finding* is an age that *wanted* asks for."""
    if wanted.uptime is None or finding.reason != UPTIME or finding.value is None:
        return False
    return finding.value >= wanted.uptime / _HOUR
