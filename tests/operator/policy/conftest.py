"""Builds situations: every value has a default, so that a test says only what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    KernelHealthPolicySpec,
    Match,
    Mode,
    Rule,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
    RungState,
)
from kernelhealth_operator import remediations
from kernelhealth_operator.policy.situation import (
    Node,
    Policy,
    Report,
    Situation,
    Tally,
    Treatment,
)


@dataclass(frozen=True)
class Build:
    """A sick worker of a pool of ten, under a policy that may act at once."""

    now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    remediations: tuple[Remediation[Any], ...] = registry.load(
        remediations, "REMEDIATION", Remediation
    )

    def node(self, **changes: Any) -> Node:
        values: dict[str, Any] = {
            "name": "worker-1",
            "uid": "uid-1",
            "resource_version": "100",
            "labels": {},
            "created": self.now,
            "unschedulable": False,
            "ready": True,
        }
        return Node(**(values | changes))

    def finding(self, **changes: Any) -> Finding:
        values: dict[str, Any] = {
            "reason": "NetworkNamespaceLeaked",
            "severity": Severity.CRITICAL,
            "message": "A network namespace leaked.",
            "since": self.now,
        }
        return Finding(**(values | changes))

    def report(self, *findings: Finding, **changes: Any) -> Report:
        values: dict[str, Any] = {
            "health": Health.CRITICAL if findings else Health.HEALTHY,
            "findings": findings,
            "boot_id": None,
            "silent": False,
            "reported_at": self.now,
        }
        return Report(**(values | changes))

    def rule(self, name: str = "leaks", **changes: Any) -> Rule:
        values: dict[str, Any] = {
            "match": Match(reasons=("NetworkNamespaceLeaked",)),
            "actions": ({"cordon": {}},),
        }
        return Rule(name=name, **(values | changes))

    def policy(self, *rules: Rule, **changes: Any) -> Policy:
        about = {"name": "workers", "created": self.now, "generation": 1, "problems": ()}
        about |= {key: changes.pop(key) for key in tuple(about) if key in changes}
        values: dict[str, Any] = {
            "mode": Mode.AUTO,
            "rules": rules or (self.rule(),),
            "disruption": Disruption(max_unavailable=2, min_healthy="51%"),
        }
        return Policy(spec=KernelHealthPolicySpec(**(values | changes)), **about)  # type: ignore[arg-type]

    def treatment(
        self, phase: Phase = Phase.WAITING, rung: str = "Pending", **given: Any
    ) -> Treatment:
        about: dict[str, Any] = {
            "name": "worker-1-abc",
            "resource_version": "200",
            "created": self.now - timedelta(minutes=5),
        }
        about |= {key: given.pop(key) for key in tuple(about) if key in given}
        spec: dict[str, Any] = {
            "node_name": "worker-1",
            "node_uid": "uid-1",
            "policy": "workers",
            "rule": "leaks",
            "reasons": ("NetworkNamespaceLeaked",),
            "plan": ({"cordon": {}},),
        }
        spec |= {key: given.pop(key) for key in NodeRemediationSpec.model_fields if key in given}
        status = {"phase": phase, "rungs": (RungState(action="cordon", state=rung),), **given}
        return Treatment(
            spec=NodeRemediationSpec(**spec), status=NodeRemediationStatus(**status), **about
        )

    def situation(self, **changes: Any) -> Situation:
        values: dict[str, Any] = {
            "now": self.now,
            "node": self.node(),
            "report": self.report(self.finding()),
            "policy": self.policy(),
            "treatment": None,
            "others": Tally(nodes=9, sound=9, healthy=9),
            "control_plane_treated": frozenset(),
        }
        return Situation(**(values | changes))


@pytest.fixture(scope="session")
def build() -> Build:
    """Builds the values that decisions are made from."""
    return Build()
