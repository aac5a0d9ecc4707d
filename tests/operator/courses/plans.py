"""What the policy of the model asks for: its plans, its limits, and its window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    KernelHealthPolicySpec,
    MaintenanceWindow,
    Match,
    Mode,
    Recovery,
    Rule,
)
from kernelhealth_api.v1alpha1.selector import LabelRequirement, LabelSelector
from kernelhealth_operator.policy.situation import CONTROL_PLANE

from .hosts import LEAK, PIN, RESIDUE
from .marks import COOL_DOWN, HEALTHY_DELAY
from .replica import KNOWN

START = datetime(2026, 1, 1, 1, 55, tzinfo=UTC)
MOST = 2
EVERY_NODE = LabelRequirement(key=CONTROL_PLANE, operator="NotIn", values=("never",))
"""Nodes of the control plane too, which are treated only where they are meant."""
CORDON: dict[str, Any] = {"cordon": {}}
RECLAIM: dict[str, Any] = {"reclaim": {}}
_PLANS: tuple[tuple[dict[str, Any], ...], ...] = (
    (CORDON,),
    (CORDON, {"fixConfig": {}}, RECLAIM),
    (RECLAIM,),
    (CORDON, {"reclaim": {"fixes": ["DeleteResidualLink"], "verifyWithin": "2m"}}),
    ({"taint": {}}, CORDON, RECLAIM),
    (CORDON, {"drain": {"whenBlocked": "Delete"}}, RECLAIM),
    (CORDON, {"drain": {"timeout": "20m"}}, {"reboot": {"when": "Now"}}),
    (CORDON, RECLAIM, {"drain": {"required": False}}, {"reboot": {"when": "MaintenanceWindow"}}),
)


def _plays(plan: tuple[dict[str, Any], ...]) -> bool:
    known = {each.name: each for each in KNOWN}
    try:
        return all(known[n].settings.model_validate(s) for step in plan for n, s in step.items())
    except (KeyError, ValidationError):
        return False


PLANS = tuple(plan for plan in _PLANS if _plays(plan))
"""What rules may ask for, as far as this operator knows the actions."""


def spec(plan: int = 0, **changes: Any) -> KernelHealthPolicySpec:
    """A policy that acts by itself."""
    rules = (
        Rule(
            name="leaks",
            match=Match(reasons=(LEAK, RESIDUE)),
            for_=timedelta(minutes=1),
            actions=PLANS[plan % len(PLANS)],
        ),
        Rule(name="pins", match=Match(reasons=(PIN,)), actions=(CORDON, {"fixConfig": {}})),
    )
    window = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=4))
    values: dict[str, Any] = {
        "node_selector": LabelSelector(match_expressions=(EVERY_NODE,)),
        "mode": Mode.AUTO,
        "rules": rules,
        "maintenance_windows": (window,),
        "disruption": Disruption(max_unavailable=MOST, min_healthy=0),
        "recovery": Recovery(healthy_delay=HEALTHY_DELAY, cool_down=COOL_DOWN),
    }
    return KernelHealthPolicySpec(**{**values, **changes})
