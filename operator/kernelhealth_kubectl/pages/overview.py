"""All nodes with something to tell, and what their policies have ahead of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_kubectl.pages.moments import until
from kernelhealth_kubectl.pages.table import printable, table
from kernelhealth_kubectl.reading import open_treatment
from kernelhealth_operator.held import HealthView, PolicyView
from kernelhealth_operator.policy.situation import Treatment

_TITLES = ("NODE", "HEALTH", "PROBLEMS", "TREATMENT", "PHASE", "UNTIL", "WAITING FOR")
_TOLD = ("Paused", "StormActive", "WindowTooShort")


@dataclass(frozen=True, slots=True)
class Overview:
    """The cluster at *now*; *everything*: nodes that are well are listed too."""

    healths: Mapping[str, HealthView]
    treatments: Mapping[str, Treatment]
    policies: Mapping[str, PolicyView]
    now: datetime
    everything: bool = False
    notes: tuple[str, ...] = ()


def lines(told: Overview) -> Iterator[str]:
    """Yield the overview for a person."""
    rows = [_row(told, name) for name in _names(told)]
    if rows:
        yield from table(_TITLES, rows)
    well = sum(one.health is Health.HEALTHY for one in told.healths.values())
    yield f"{well} of {len(told.healths)} nodes are healthy"
    for policy in _policies(told):
        yield f"policy {policy['name']}: {'; '.join(policy['news'])}"
    for note in told.notes:
        yield f"note: {printable(note)}"


def data(told: Overview) -> dict[str, Any]:
    """Return the overview for a program."""
    return {
        "nodes": [_node(told, name) for name in _names(told)],
        "policies": list(_policies(told)),
        "notes": list(told.notes),
    }


def _names(told: Overview) -> list[str]:
    """Return the nodes that are listed: those that are worst first."""
    treated = {one.spec.node_name for one in told.treatments.values() if not one.status.phase.final}
    sick = {name for name, one in told.healths.items() if one.health is not Health.HEALTHY}
    chosen = {*told.healths, *treated} if told.everything else sick | treated
    order = (Health.CRITICAL, Health.WARNING, Health.UNKNOWN, Health.HEALTHY)
    return sorted(chosen, key=lambda name: (order.index(_health(told, name)), name))


def _health(told: Overview, name: str) -> Health:
    view = told.healths.get(name)
    return Health.UNKNOWN if view is None else view.health


def _node(told: Overview, name: str) -> dict[str, Any]:
    view, treatment = told.healths.get(name), open_treatment(name, told.treatments)
    status = None if treatment is None else treatment.status
    return {
        "node": name,
        "health": str(_health(told, name)),
        "problems": "" if view is None else view.problems,
        "policy": None if view is None else view.spec.policy,
        "treatment": None if treatment is None else treatment.name,
        "phase": None if status is None else str(status.phase),
        "waitingFor": None if status is None else status.waiting_for,
        "waitingUntil": None
        if status is None or status.waiting_until is None
        else f"{status.waiting_until:%Y-%m-%dT%H:%M:%SZ}",
    }


def _row(told: Overview, name: str) -> tuple[str, ...]:
    one, treatment = _node(told, name), open_treatment(name, told.treatments)
    expected = None if treatment is None else treatment.status.waiting_until
    return (
        name,
        one["health"],
        printable(one["problems"]),
        one["treatment"] or "",
        one["phase"] or "",
        until(expected, told.now),
        printable(one["waitingFor"] or ""),
    )


def _policies(told: Overview) -> Iterator[dict[str, Any]]:
    for name, view in sorted(told.policies.items()):
        news = list(_news(view, told.now))
        if news:
            yield {"name": name, "news": news}


def _news(view: PolicyView, now: datetime) -> Iterator[str]:
    status = view.status
    conditions = {each.type: each for each in status.conditions}
    ready = conditions.get("Ready")
    if ready is not None and ready.status == "False" and ready.reason != "Paused":
        yield f"not ready: {printable(ready.message)}"
    for kind in _TOLD:
        if kind in conditions and conditions[kind].status == "True":
            yield f"{kind}: {printable(conditions[kind].message)}"
    if status.reboots_waiting:
        through = until(status.expected_through, now)
        expected = f", expected to be through {through}" if through else ""
        number = status.reboots_waiting
        yield f"{number} reboot{' waits' if number == 1 else 's wait'}{expected}"
    if status.next_window is not None:
        yield f"next window {until(status.next_window, now)}"
