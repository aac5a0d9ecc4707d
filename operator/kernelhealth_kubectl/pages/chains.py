"""Why a node is treated or not: the checks with their answers, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from kernelhealth_kubectl.pages.explanation import Explained, PolicyChains, steps
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.explaining import Checked
from kernelhealth_operator.policy.situation import Treatment


def data(told: Explained) -> dict[str, Any]:
    """Return the explanation for a program."""
    treatment = told.treatment
    return {
        "node": told.node,
        "health": told.health,
        "problems": told.problems,
        "waitingFor": told.decision.waiting_for,
        "lookAgain": _moment(told.decision.due),
        "next": list(steps(told.decision)),
        "treatment": None if treatment is None else _treatment(treatment, told.treated),
        "checks": None if told.nothing is None else _answers(told.nothing),
        "policies": [_policy(each) for each in told.policies],
        "notes": list(told.notes),
    }


def _treatment(treatment: Treatment, checked: Checked | None) -> dict[str, Any]:
    return {
        "name": treatment.name,
        "policy": treatment.spec.policy,
        "rule": treatment.spec.rule,
        "phase": str(treatment.status.phase),
        "waitingFor": treatment.status.waiting_for,
        "waitingUntil": _moment(treatment.status.waiting_until),
        "checks": [] if checked is None else _answers(checked),
    }


def _policy(chains: PolicyChains) -> dict[str, Any]:
    rules = [
        {
            "rule": each.rule,
            "mode": str(each.mode),
            "reasons": list(each.reasons),
            "behind": each.behind,
            "checks": _answers(each.checked),
        }
        for each in chains.rules
    ]
    return {"name": chains.name, "standing": chains.standing, "rules": rules}


def _answers(checked: Checked) -> list[dict[str, Any]]:
    return [*_wire(checked.asked, asked=True), *_wire(checked.beyond, asked=False)]


def _wire(verdicts: Sequence[Verdict], *, asked: bool) -> Iterator[dict[str, Any]]:
    for each in verdicts:
        yield {
            "check": each.check,
            "ok": each.ok,
            "reason": each.reason,
            "message": each.message,
            "retryAt": _moment(each.retry_at),
            "asked": asked,
        }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
