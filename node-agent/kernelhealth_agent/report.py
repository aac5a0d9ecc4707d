"""The report on a node: all conditions and findings as one NodeKernelHealth status. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from kernelhealth_agent.findings import worst_first
from kernelhealth_agent.identity import Identity
from kernelhealth_agent.wording import shortened
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.nodekernelhealth import (
    MOST_FINDINGS,
    Health,
    NodeKernelHealthStatus,
)
from kernelhealth_api.v1alpha1.resource import Condition

MOST_BYTES = 7200
"""Bytes of a status on the wire; the whole object shall not exceed 8 KB (ADR 12)."""
_LONGEST_PROBLEMS = 512
_STEPS = ((1024, 1024), (120, 1024), (40, 1024), (40, 480), (0, 480), (0, 240))
"""Characters that messages of conditions and of findings may have: findings say more."""
_LAST_STEPS = ((0, 120), (0, 0))
_SHORT_ANSWER = 120
_HEALTH = {
    Severity.CRITICAL: Health.CRITICAL,
    Severity.WARNING: Health.WARNING,
    Severity.INFO: Health.HEALTHY,
}


def assemble(
    conditions: Sequence[Condition],
    findings: Iterable[Finding],
    suspected: int,
    identity: Identity,
    most_bytes: int = MOST_BYTES,
    **about: str | datetime | None,
) -> NodeKernelHealthStatus:
    """Return the status, as large as it may be; *about* fills fields that are not measured."""
    ordered = worst_first(findings)
    status = NodeKernelHealthStatus(
        health=health(conditions, ordered),
        problems=problems(ordered),
        conditions=tuple(conditions),
        findings=tuple(ordered[:MOST_FINDINGS]),
        truncated=len(ordered) > MOST_FINDINGS,
        suspected=suspected,
        boot_id=identity.boot_id,
        boot_time=identity.boot_time,
        kernel_release=identity.kernel_release,
        os_image=identity.os_image,
    )
    return fitted(status.model_copy(update=about), most_bytes)


def health(conditions: Sequence[Condition], findings: Sequence[Finding]) -> Health:
    """Return the worst that is known; with nothing bad known, Unknown if anything went unseen.

    What the host does not offer at all is no reason to doubt the rest, as long as there is a rest.
    """
    worst = max((found.severity for found in findings), key=lambda s: s.rank, default=Severity.INFO)
    if worst is not Severity.INFO:
        return _HEALTH[worst]
    unseen = [c for c in conditions if c.status == "Unknown"]
    if len(unseen) == len(conditions) or any(c.reason != "NotAvailable" for c in unseen):
        return Health.UNKNOWN
    return Health.HEALTHY


def problems(findings: Iterable[Finding]) -> str:
    """Return the findings that matter in one line: ``NetworkNamespaceLeaked x14, …``."""
    counts: dict[str, int] = {}
    for found in findings:
        if found.severity is not Severity.INFO:
            counts[found.reason] = counts.get(found.reason, 0) + found.count
    parts = [reason if count == 1 else f"{reason} x{count}" for reason, count in counts.items()]
    return shortened(", ".join(parts), _LONGEST_PROBLEMS)


def wire(status: NodeKernelHealthStatus) -> dict[str, Any]:
    """Return the status as it goes over the wire, without what is empty inside a finding."""
    body: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    for found in body["findings"]:
        subject = {name: value for name, value in found["subject"].items() if value != []}
        found["subject"] = subject
        if not subject:
            del found["subject"]
        if not found["cures"]:
            del found["cures"]
    return body


def size(status: NodeKernelHealthStatus) -> int:
    """Return the bytes of a status on the wire."""
    return len(json.dumps(wire(status), ensure_ascii=False, separators=(",", ":")).encode())


def fitted(status: NodeKernelHealthStatus, most_bytes: int = MOST_BYTES) -> NodeKernelHealthStatus:
    """Return the status within its limit: shorter sentences first, then fewer findings.

    The findings that matter least go first, ``truncated`` says so, and the counts of the others
    and the line of problems stay as they were.
    """
    for most in _STEPS:
        status = _shortened(status, *most)
        if size(status) <= most_bytes:
            return status
    while status.findings and size(status) > most_bytes:
        status = status.model_copy(update={"findings": status.findings[:-1], "truncated": True})
    for most in _LAST_STEPS:
        if size(status) > most_bytes:
            status = _shortened(status, *most)
    if status.request is not None and size(status) > most_bytes:
        message = shortened(status.request.message, _SHORT_ANSWER)
        request = status.request.model_copy(update={"message": message})
        status = status.model_copy(update={"request": request})
    return status


def _shortened(
    status: NodeKernelHealthStatus, conditions: int, findings: int
) -> NodeKernelHealthStatus:
    def short(part: Condition | Finding, most: int) -> Any:
        return part.model_copy(update={"message": shortened(part.message, most)})

    update = {
        "conditions": tuple(short(part, conditions) for part in status.conditions),
        "findings": tuple(short(part, findings) for part in status.findings),
    }
    return status.model_copy(update=update)
