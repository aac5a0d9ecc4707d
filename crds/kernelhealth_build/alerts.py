"""The Prometheus alerts: one for each reason and each severity that is worth one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kernelhealth_api.detector import Detector, Reason, Severity
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_build.paper import sentence

METRIC = "kernelhealth_findings"
"""Findings of a node by reason and severity, as the agent counts them."""

ALARMING = (Severity.WARNING, Severity.CRITICAL)
"""Severities that raise an alert, for any reason: the evidence can make a finding better or worse
than its reason usually is. Info is worth a look at the table and not a message."""


def rules(catalogue: Catalogue) -> dict[str, Any]:
    """Return the PrometheusRule with a group for each detector.

    Findings are confirmed by time before they are counted, so an alert needs no long *for* of its
    own: one that spans two scrapes is enough.
    """
    groups: list[dict[str, Any]] = [
        {"name": f"kernelhealth-{detector.name.replace('_', '-')}", "rules": list(_of(detector))}
        for detector in catalogue.detectors
    ]
    groups.append(
        {"name": "kernelhealth-policies", "rules": [_window_too_short(), _storm(), _in_vain()]}
    )
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "kernelhealth",
            "labels": {"app.kubernetes.io/part-of": "kernelhealth"},
        },
        "spec": {"groups": [group for group in groups if group["rules"]]},
    }


def _storm() -> dict[str, Any]:
    return {
        "alert": "ManyNodesIllAtOnce",
        "expr": "max by (policy) (kernelhealth_storms) > 0",
        "labels": {"severity": str(Severity.CRITICAL).lower()},
        "annotations": {
            "summary": "Many nodes of policy {{ $labels.policy }} fell ill of the same at once",
            "description": "A rollout or a detector is to be suspected. What they have in common "
            "is not treated until no other node has fallen ill of it for stormCooldownDuration. "
            "The condition StormActive of the KernelHealthPolicy names it.",
        },
    }


def _in_vain() -> dict[str, Any]:
    return {
        "alert": "RemediationIneffective",
        "expr": "sum by (cause) (increase(kernelhealth_remediation_ineffective_total[1h])) > 0",
        "labels": {"severity": str(Severity.WARNING).lower()},
        "annotations": {
            "summary": "All that was done about {{ $labels.cause }} was in vain",
            "description": "The node stays cordoned, and a person has to look at it. "
            "kubectl get noderemediations shows which one is Ineffective, and its status what was "
            "tried.",
        },
    }


def _window_too_short() -> dict[str, Any]:
    return {
        "alert": "MaintenanceWindowTooShort",
        "expr": "max by (policy) (kernelhealth_window_too_short) > 0",
        "for": "15m",
        "labels": {"severity": str(Severity.WARNING).lower()},
        "annotations": {
            "summary": "The maintenance windows of policy {{ $labels.policy }} are too short",
            "description": "The nodes that wait for a reboot will not be through in the next "
            "maintenance window. The condition WindowTooShort of the KernelHealthPolicy says how "
            "many fit, and status.expectedThrough when they will be.",
        },
    }


def _of(detector: Detector[Any, Any]) -> Iterator[dict[str, Any]]:
    for reason in detector.reasons:
        for severity in ALARMING:
            yield _alert(reason, severity)


def _alert(reason: Reason, severity: Severity) -> dict[str, Any]:
    return {
        "alert": reason.name,
        "expr": f'{METRIC}{{reason="{reason.name}",severity="{severity}"}} > 0',
        "for": "2m",
        "labels": {"severity": severity.lower()},
        "annotations": {
            "summary": f"{reason.name} ({severity}) on {{{{ $labels.instance }}}}",
            "description": f"{sentence(reason.meaning)} "
            "kubectl get nodekernelhealths -o yaml names the subjects and what cures them.",
        },
    }
