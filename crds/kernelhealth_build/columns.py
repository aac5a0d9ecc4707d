"""What ``kubectl get`` prints."""

from __future__ import annotations

from typing import Any

from kernelhealth_build.catalogue import Catalogue

Column = dict[str, Any]

_AGE: Column = {
    "name": "Age",
    "type": "date",
    "description": "How long the object is there.",
    "jsonPath": ".metadata.creationTimestamp",
}


def node_kernel_health(catalogue: Catalogue) -> list[Column]:
    """Return the columns of a node's health; those of the detectors only with ``-o wide``."""
    return [
        _text("Health", ".status.health", "The worst of all findings."),
        _text("Problems", ".status.problems", "The findings, worst first."),
        _text("Remediation", ".status.remediation.phase", "Where its treatment stands."),
        _text("Kernel", ".status.kernelRelease", "As uname -r prints it."),
        {
            "name": "Reported",
            "type": "date",
            "description": "How long ago the agent last wrote.",
            "jsonPath": ".status.lastReportTime",
        },
        _AGE,
        _wide("Policy", ".spec.policy", "The policy that governs the node."),
        _wide("Waiting", ".status.remediation.waitingFor", "What its treatment waits for."),
        *(
            _wide(
                detector.condition.removesuffix("Healthy"),
                f'.status.conditions[?(@.type=="{detector.condition}")].status',
                detector.summary,
            )
            for detector in catalogue.detectors
        ),
    ]


def kernel_health_policy() -> list[Column]:
    """Return the columns of a policy."""
    return [
        _text("Mode", ".spec.mode", "How far the policy may go by itself."),
        _number("Priority", ".spec.priority", "The highest of several policies wins."),
        _number("Nodes", ".status.nodes", "Nodes governed."),
        _number("Warning", ".status.warning", "Nodes whose health is Warning."),
        _number("Critical", ".status.critical", "Nodes whose health is Critical."),
        _number("In-Progress", ".status.inProgress", "Nodes under treatment."),
        _text(
            "Ready",
            '.status.conditions[?(@.type=="Ready")].status',
            "Whether the policy is free of mistakes.",
        ),
        _AGE,
    ]


def node_remediation() -> list[Column]:
    """Return the columns of a treatment."""
    return [
        _text("Node", ".spec.nodeName", "The node."),
        _text("Phase", ".status.phase", "Where the treatment stands."),
        _text("Rule", ".spec.rule", "The rule of the policy that asked for it."),
        _text("Waiting", ".status.waitingFor", "What it waits for."),
        _AGE,
        _wide("Policy", ".spec.policy", "The policy that asked for it."),
        _wide("Decision", ".spec.decision", "What a person said."),
    ]


def _text(name: str, path: str, description: str) -> Column:
    return {"name": name, "type": "string", "description": description, "jsonPath": path}


def _number(name: str, path: str, description: str) -> Column:
    return _text(name, path, description) | {"type": "integer"}


def _wide(name: str, path: str, description: str) -> Column:
    return _text(name, path, description) | {"priority": 1}
