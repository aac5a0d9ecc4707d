"""The pages below docs/ that follow from the code, in the code's own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kernelhealth_api.detector import Detector, Reason
from kernelhealth_api.remediation import DisruptionLevel, Remediation
from kernelhealth_build import alerts, composition, families, parameters
from kernelhealth_build.catalogue import Catalogue, action
from kernelhealth_build.custom_resources import kinds
from kernelhealth_build.paper import page, sentence, table

_COST = {
    DisruptionLevel.NONE: "The workloads notice nothing.",
    DisruptionLevel.SCHEDULING: "No new pods come to the node; those that run are left alone.",
    DisruptionLevel.EVICTION: "Pods are evicted from the node.",
    DisruptionLevel.REBOOT: "The node is rebooted.",
}


def detectors(catalogue: Catalogue) -> str:
    """Return the page of all detectors."""
    return page(
        "Detectors",
        "Each detector owns one condition of NodeKernelHealth. Its parameters stand in a "
        "KernelHealthPolicy below `spec.detectors`, under the key given here.",
        *(part for detector in catalogue.detectors for part in _detector(detector)),
    )


def remediations(catalogue: Catalogue) -> str:
    """Return the page of all remediations."""
    return page(
        "Remediations",
        "What a rule of a KernelHealthPolicy may name in its `actions`.",
        *(part for each in catalogue.remediations for part in _remediation(each)),
    )


def resources(catalogue: Catalogue) -> str:
    """Return the page of all custom resources."""
    return page("Custom resources", *_resources(catalogue))


def metrics(catalogue: Catalogue) -> str:
    """Return the page of the metrics that detectors give, and of the alerts on them."""
    signals = [
        (f"`kernelhealth_{signal.name}`", ", ".join(signal.labels), signal.help, detector.key)
        for detector in catalogue.detectors
        for signal in detector.signals
    ]
    alarms = [
        (f"`{reason.name}`", reason.severity, sentence(reason.meaning))
        for detector in catalogue.detectors
        for reason in detector.reasons
    ]
    return page(
        "Metrics",
        "The agent of each node serves these numbers, and the number of its findings as "
        f"`{alerts.METRIC}` with the labels `reason` and `severity`.",
        table(("metric", "labels", "meaning", "detector"), signals),
        "Besides, of its looks and of itself:",
        table(("metric", "labels", "meaning"), families.agent()),
        "## Operator",
        "Each replica serves these; the numbers of the cluster are the same on both.",
        table(("metric", "labels", "meaning"), families.operator()),
        "## Alerts",
        f"Every reason raises an alert of its name while `{alerts.METRIC}` is above zero, with the "
        "severity of the finding (`warning` or `critical`) as its label; findings of severity Info "
        "raise none. A finding can be better or worse than usual, by evidence or by number.",
        table(("alert", "usual severity", "meaning"), alarms),
    )


def _detector(detector: Detector[Any, Any]) -> Iterator[str]:
    yield f"## {detector.key}"
    yield f"{sentence(detector.summary)} Condition: `{detector.condition}`."
    yield table(
        ("reason", "usual severity", "confirmed after", "Critical from", "meaning"),
        (_reason(reason, detector) for reason in detector.reasons),
    )
    schema = composition.parameters_of(detector)
    yield parameters.fields(schema) or "It has no parameters."
    yield table(
        ("metric", "meaning"),
        ((f"`kernelhealth_{signal.name}`", signal.help) for signal in detector.signals),
    )


def _reason(reason: Reason, detector: Detector[Any, Any]) -> tuple[str, ...]:
    fields = detector.params.model_fields
    confirm, critical = (
        f"`{fields[name].alias}`" if name else nothing
        for name, nothing in ((reason.confirm, "at once"), (reason.critical, "never"))
    )
    return f"`{reason.name}`", reason.severity, confirm, critical, sentence(reason.meaning)


def _remediation(remediation: Remediation[Any]) -> Iterator[str]:
    yield f"## {action(remediation)}"
    yield f"{sentence(remediation.summary)} {_COST[remediation.disruption]}"
    schema = composition.settings_of(remediation)
    yield parameters.fields(schema) or "It has no parameters: `{}`."
    yield table(
        ("it needs the right to", "resource"),
        (
            (", ".join(need.verbs), f"`{need.resource}`{need.group and f' of {need.group}'}")
            for need in remediation.needs
        ),
    )


def _resources(catalogue: Catalogue) -> Iterator[str]:
    for kind in kinds(catalogue):
        yield f"## {kind.name} (`{kind.short}`)"
        yield kind.schema["description"]
        yield parameters.fields(kind.schema)
        if demands := parameters.demands(kind.schema):
            yield "The API server refuses what breaks one of these:"
            yield "\n".join(f"- {message}" for message in demands)
