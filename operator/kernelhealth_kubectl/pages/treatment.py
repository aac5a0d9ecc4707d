"""One node, or one treatment: what is wrong, what is done, what would come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.noderemediation import Preview
from kernelhealth_kubectl.pages.moments import until
from kernelhealth_kubectl.pages.table import printable, table
from kernelhealth_operator.held import HealthView
from kernelhealth_operator.policy.situation import Treatment


@dataclass(frozen=True, slots=True)
class Shown:
    """A node and its *treatment*, where it has one; *because* is what a person said of it.

    *ignored* says why the node is left out, where it is and somebody said so. *earlier* are
    treatments that have ended, newest first.
    """

    node: str
    health: HealthView | None
    treatment: Treatment | None
    now: datetime
    because: str | None = None
    ignored: str | None = None
    earlier: tuple[Treatment, ...] = ()


def lines(shown: Shown) -> Iterator[str]:
    """Yield it for a person."""
    health = shown.health
    yield f"Node {shown.node}: {'Unknown' if health is None else health.health}"
    if shown.ignored is not None:
        yield f"  left out by {printable(shown.ignored)}"
    for finding in () if health is None else health.findings:
        yield from _finding(finding)
    if shown.treatment is not None:
        yield ""
        yield from _treatment(shown.treatment, shown)
    if shown.earlier:
        yield ""
        yield "Earlier"
        rows = [_ended(each, shown.now) for each in shown.earlier]
        titles = ("NODEREMEDIATION", "PHASE", "ENDED", "MESSAGE")
        yield from (f"  {line}" for line in table(titles, rows))


def data(shown: Shown) -> dict[str, Any]:
    """Return it for a program: the objects' own fields."""
    health, treatment = shown.health, shown.treatment
    findings = () if health is None else health.findings
    return {
        "node": shown.node,
        "health": "Unknown" if health is None else str(health.health),
        "ignored": shown.ignored,
        "findings": [each.model_dump(mode="json", by_alias=True) for each in findings],
        "treatment": None if treatment is None else _wire(treatment),
        "because": shown.because,
        "earlier": [_wire(each) for each in shown.earlier],
    }


def _finding(finding: Finding) -> Iterator[str]:
    count = f" x{finding.count}" if finding.count > 1 else ""
    cause = f", cause {finding.cause}" if finding.cause else ""
    yield f"  {finding.severity}: {finding.reason}{count}{cause}"
    yield f"    {printable(finding.message)}"


def _treatment(one: Treatment, shown: Shown) -> Iterator[str]:
    spec, status, now = one.spec, one.status, shown.now
    yield f"NodeRemediation {one.name}: {status.phase}"
    yield f"  for {', '.join(spec.reasons)}, by rule {spec.rule} of policy {spec.policy}"
    said = f" ({printable(shown.because)})" if shown.because else ""
    yield f"  decision: {spec.decision}{said}"
    if status.waiting_for:
        yield f"  waits: {printable(status.waiting_for)}"
    if status.waiting_until is not None:
        yield f"         until {until(status.waiting_until, now)}"
    if status.message:
        yield f"  last:  {printable(status.message)}"
    yield ""
    rows = [
        (each.action, each.state, until(each.started_at, now), printable(each.message))
        for each in status.rungs
    ]
    yield from (f"  {line}" for line in table(("ACTION", "STATE", "BEGUN", "MESSAGE"), rows))
    if status.preview is not None:
        yield ""
        yield from _preview(status.preview, now)


def _preview(preview: Preview, now: datetime) -> Iterator[str]:
    yield f"What would come of it, as of {until(preview.as_of, now)}"
    if preview.message:
        yield f"  {printable(preview.message)}"
    named = (
        ("pods that would go", preview.names, preview.pods),
        ("forbidden by PodDisruptionBudgets", preview.forbidden_by, len(preview.forbidden_by)),
        ("local data would be lost of", preview.local_data, len(preview.local_data)),
        ("nobody would make anew", preview.uncontrolled, len(preview.uncontrolled)),
        ("no room elsewhere for", preview.without_room, len(preview.without_room)),
    )
    for title, names, number in named:
        if number:
            left = f" and {number - len(names)} more" if number > len(names) else ""
            yield f"  {title}: {', '.join(names)}{left}"
    if preview.staying:
        yield f"  pods that stay: {preview.staying}"
    if preview.pods:
        yield (
            f"  they request {preview.cpu} of CPU and {preview.memory} of memory; free is"
            f" {preview.free_cpu} and {preview.free_memory} on the {preview.nodes_looked_at} nodes"
            f" looked at, of {preview.nodes_available} that take pods"
        )


def _ended(one: Treatment, now: datetime) -> tuple[str, ...]:
    ended = until(one.status.finished_at, now)
    return one.name, str(one.status.phase), ended, printable(one.status.message)


def _wire(one: Treatment) -> dict[str, Any]:
    return {
        "name": one.name,
        "spec": one.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": one.status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
