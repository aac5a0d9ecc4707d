from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from kernelhealth_api.detector import Detector, Params, Reason, Severity
from kernelhealth_api.duration import Duration
from kernelhealth_build import catalogue, custom_resources
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.errors import ProcessError

KINDS = [kind.plural for kind in custom_resources.kinds(catalogue.shipped())]
SAMPLE_GROUP = "sample.kernelhealth.io"
ROOT = Path(__file__).parents[2]
COLUMNS = ["NAME", "HEALTH", "PROBLEMS", "REMEDIATION", "KERNEL", "REPORTED", "AGE"]
NOW = "2026-01-01T02:00:00Z"


class Patience(Params):
    confirm_after: Duration = Field(timedelta(minutes=2), description="How long it must last.")
    critical_count: int = Field(10, gt=0, description="How many are critical.")


@pytest.mark.parametrize("plural", KINDS)
def test_the_api_server_takes_the_definition_as_it_is(crds: ControlPlane, plural: str) -> None:
    definition = _get(crds, "crd", f"{plural}.kernelhealth.io")

    conditions = {each["type"]: each["status"] for each in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nkh.status.findings", "One sentence that a person can act on."),
        ("nkh.status.findings.subject", "Inode number of the network namespace"),
        ("nkh.status.remediation", "The NodeRemediation that treats the node."),
        ("khp.spec.disruption", "Fewest nodes of this policy that must stay available"),
        ("khp.spec.rules.actions", "cordon: Keeps new pods away from the node"),
        ("nr.spec", "Set by a person: Approved starts a proposal"),
    ],
)
def test_kubectl_explain_teaches(crds: ControlPlane, path: str, words: str) -> None:
    assert words in " ".join(crds.kubectl("explain", path).split())


def test_kubectl_get_shows_the_health_of_a_node_in_one_line(
    crds: ControlPlane, reported: str
) -> None:
    head, line = crds.kubectl("get", "nkh", reported).splitlines()

    assert head.split() == COLUMNS
    assert line.split()[:5] == [reported, "Critical", "NetworkNamespaceLeaked", "Waiting", "6.1.0"]


def test_the_wide_table_shows_each_condition(crds: ControlPlane, reported: str) -> None:
    head, line = crds.kubectl("get", "nkh", reported, "-o", "wide").splitlines()
    expected = [
        detector.condition.removesuffix("Healthy").upper()
        for detector in catalogue.shipped().detectors
    ]

    assert head.split()[7:] == ["POLICY", "WAITING", *expected]
    assert line.split()[-len(expected) :] == ["False"] * len(expected)


def test_all_kinds_are_listed_by_their_category(crds: ControlPlane, reported: str) -> None:
    listed = crds.kubectl("get", "kernelhealth", "-o", "name").split()

    assert f"nodekernelhealth.kernelhealth.io/{reported}" in listed


def test_an_agent_may_report_before_the_operator_has_said_anything(
    crds: ControlPlane, reported: str
) -> None:
    assert "spec" not in _get(crds, "nkh", reported)


def test_nothing_is_filled_into_a_report(crds: ControlPlane, reported: str) -> None:
    assert _get(crds, "nkh", reported)["status"] == _report()


def test_each_writer_keeps_the_conditions_of_the_other(crds: ControlPlane, reported: str) -> None:
    foreign = _condition("SomethingElse")

    _apply_status(crds, reported, {"conditions": [foreign]}, "another")

    kept = {each["type"] for each in _get(crds, "nkh", reported)["status"]["conditions"]}
    assert kept == {"SomethingElse", *(each["type"] for each in _report()["conditions"])}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"health": "Fine"}, "status.health: Unsupported value"),
        ({"suspected": -1}, "status.suspected: Invalid value: -1: "),
        ({"findings": [{"reason": "X"}]}, "status.findings[0].message: Required value"),
        ({"conditions": [{"type": "X"}]}, "].reason: Required value"),
        ({"findings": "many"}, "status.findings: expected list"),
    ],
    ids=["health", "count", "finding", "condition", "type"],
)
def test_a_report_of_the_wrong_form_is_refused(
    crds: ControlPlane, reported: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProcessError) as refusal:
        _apply_status(crds, reported, change, "garbage")

    assert words in str(refusal.value)


def test_a_report_with_fields_of_a_newer_version_is_kept_whole(
    crds: ControlPlane, reported: str
) -> None:
    finding = _report()["findings"][0]
    finding |= {"mood": "bad", "subject": {"pod": "batch/build-7", "colour": "red"}}

    _apply_status(crds, reported, {"weather": "fair", "findings": [finding]}, "newer")

    status = _get(crds, "nkh", reported)["status"]
    assert status["weather"] == "fair"
    assert status["findings"] == [finding]


def test_a_treatment_waits_for_a_decision_by_default(crds: ControlPlane, treatment: str) -> None:
    assert _get(crds, "nr", treatment)["spec"]["decision"] == "Pending"


def test_a_treatment_is_printed_with_what_it_waits_for(crds: ControlPlane, treatment: str) -> None:
    _phase(crds, treatment, "Proposed")

    head, line = crds.kubectl("get", "nr", treatment).splitlines()

    assert head.split() == ["NAME", "NODE", "PHASE", "RULE", "WAITING", "AGE"]
    assert line.split()[:5] == [treatment, "node-1", "Proposed", "leaking-node", "Approval"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nodeName", "node-2"),
        ("nodeUid", "another"),
        ("policy", "another"),
        ("rule", "another"),
        ("reasons", ["Another"]),
        ("bootID", "another"),
        ("bootID", None),
        ("plan", [{"cordon": {}}, {"cordon": {}}]),
    ],
)
def test_a_treatment_stays_what_it_was(
    crds: ControlPlane, treatment: str, field: str, value: Any
) -> None:
    with pytest.raises(ProcessError) as refusal:
        _patch(crds, treatment, {field: value})

    assert f"spec.{field}: Invalid value" in str(refusal.value)
    assert f"{field} cannot be changed: only decision can" in str(refusal.value)


@pytest.mark.parametrize(
    "decisions",
    [
        ("Approved",),
        ("Rejected",),
        ("Cancelled",),
        ("Approved", "Cancelled"),
        ("Approved", "Approved"),
    ],
    ids=" then ".join,
)
def test_a_person_decides(crds: ControlPlane, treatment: str, decisions: tuple[str, ...]) -> None:
    for decision in decisions:
        _patch(crds, treatment, {"decision": decision})

    assert _get(crds, "nr", treatment)["spec"]["decision"] == decisions[-1]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("Rejected", "Approved", "decision is final once it is Rejected or Cancelled"),
        ("Rejected", "Pending", "decision is final once it is Rejected or Cancelled"),
        ("Cancelled", "Approved", "decision is final once it is Rejected or Cancelled"),
        ("Approved", "Pending", "decision cannot go back from Approved to Pending"),
        ("Approved", "Maybe", 'supported values: "Pending", "Approved", "Rejected", "Cancelled"'),
    ],
    ids=lambda value: value if " " not in value else "",
)
def test_a_decision_cannot_be_turned_back(
    crds: ControlPlane, treatment: str, before: str, after: str, words: str
) -> None:
    _patch(crds, treatment, {"decision": before})

    with pytest.raises(ProcessError) as refusal:
        _patch(crds, treatment, {"decision": after})

    assert "spec.decision: " in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize("phase", ["Succeeded", "Ineffective", "Failed", "Cancelled"])
def test_nobody_decides_about_a_treatment_that_has_ended(
    crds: ControlPlane, treatment: str, phase: str
) -> None:
    _phase(crds, treatment, phase)

    with pytest.raises(ProcessError, match="decision cannot change any more, since the treatment"):
        _patch(crds, treatment, {"decision": "Approved"})


def test_an_entry_with_two_actions_is_refused_where_there_are_two(sample: ControlPlane) -> None:
    actions: list[dict[str, Any]] = [{"cordon": {}}, {"cordon": {}, "second": {}}]

    with pytest.raises(ProcessError) as refusal:
        _try_sample(sample, {"rules": [_rule(actions)]})

    assert "spec.rules[0].actions[1]: " in str(refusal.value)
    assert "must name exactly one action, one of cordon, second" in str(refusal.value)


def test_a_ladder_of_two_actions_is_accepted(sample: ControlPlane) -> None:
    _try_sample(sample, {"rules": [_rule([{"cordon": {}}, {"second": {}}])]})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("confirmAfter", "soon", "confirmAfter must be a duration such as 30s, 5m or 1h30m"),
        ("confirmAfter", "9999h", "confirmAfter must be at least 0s and at most 168h"),
        ("criticalCount", 0, "should be greater than 0"),
        ("criticalCount", -3, "should be greater than 0"),
        ("criticalCount", "ten", "must be of type integer"),
        ("criticalSum", 1, "unknown field"),
    ],
)
def test_a_threshold_beyond_its_bounds_is_refused(
    sample: ControlPlane, field: str, value: Any, words: str
) -> None:
    with pytest.raises(ProcessError) as refusal:
        _try_sample(sample, {"detectors": {"slowThings": {field: value}}})

    assert f"spec.detectors.slowThings.{field}" in str(refusal.value)
    assert words in str(refusal.value)


def test_a_threshold_stays_as_it_is_written_and_no_other_is_added(sample: ControlPlane) -> None:
    wanted = {"slowThings": {"confirmAfter": "30s"}}

    stored = _try_sample(sample, {"detectors": wanted})

    assert stored["spec"]["detectors"] == wanted


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> ControlPlane:
    """An API server that has our definitions."""
    control_plane.kubectl("apply", "-k", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    # Discovery and the schemas that kubectl asks for follow a moment after.
    assert any(_published(control_plane) for _ in range(300))
    return control_plane


def _published(plane: ControlPlane) -> bool:
    try:
        return all(plane.kubectl("explain", kind) for kind in ("nkh", "khp", "nr"))
    except ProcessError:
        return False


@pytest.fixture
def reported(crds: ControlPlane) -> Iterator[str]:
    """The name of a node that has a report."""
    name = "reported-node"
    _create(crds, "NodeKernelHealth", name, {})
    _apply_status(crds, name, _report(), "kernelhealth-agent")
    yield name
    crds.kubectl("delete", "nkh", name)


@pytest.fixture
def treatment(crds: ControlPlane) -> Iterator[str]:
    """The name of a proposed treatment."""
    spec = {
        "nodeName": "node-1",
        "nodeUid": "5a7c",
        "policy": "workers",
        "rule": "leaking-node",
        "reasons": ["NetworkNamespaceLeaked"],
        "bootID": "3f0a",
        "plan": [{"cordon": {}}],
    }
    _create(crds, "NodeRemediation", "incident-1", {"spec": spec})
    yield "incident-1"
    crds.kubectl("delete", "nr", "incident-1")


@pytest.fixture(scope="module")
def sample(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A policy of a group of its own, made from a detector and two remediations of this test."""
    reasons = (Reason("Slow", Severity.WARNING, "It is slow.", "confirm_after", "critical_count"),)
    detector = Detector(
        "slow_things", "SlowHealthy", "It is slow.", int, Patience, reasons, lambda *_: ()
    )
    (cordon,) = (each for each in catalogue.shipped().remediations if each.name == "cordon")
    known = Catalogue((detector,), (cordon, replace(cordon, name="second")))
    definition = custom_resources.kinds(known)[0].definition()
    definition["metadata"]["name"] = f"kernelhealthpolicies.{SAMPLE_GROUP}"
    definition["spec"]["group"] = SAMPLE_GROUP
    definition["spec"]["names"] |= {"shortNames": [], "categories": []}
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(definition))
    name = f"crd/{definition['metadata']['name']}"
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", name)
    yield control_plane
    control_plane.kubectl("delete", name)


def _rule(actions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": "slow", "match": {"reasons": ["Slow"]}, "actions": actions}


def _try_sample(plane: ControlPlane, spec: dict[str, Any]) -> dict[str, Any]:
    policy = {
        "apiVersion": f"{SAMPLE_GROUP}/v1alpha1",
        "kind": "KernelHealthPolicy",
        "metadata": {"name": "sample"},
        "spec": spec,
    }
    command = ("create", "--dry-run=server", "-o", "json", "-f", "-")
    answer: dict[str, Any] = json.loads(plane.kubectl(*command, stdin=json.dumps(policy)))
    return answer


def _report() -> dict[str, Any]:
    return {
        "health": "Critical",
        "problems": "NetworkNamespaceLeaked",
        "kernelRelease": "6.1.0",
        "lastReportTime": NOW,
        "remediation": {"name": "incident-1", "phase": "Waiting"},
        "conditions": [_condition(each.condition) for each in catalogue.shipped().detectors],
        "findings": [
            {
                "reason": "NetworkNamespaceLeaked",
                "severity": "Critical",
                "message": "The namespace of a deleted pod is still there.",
                "subject": {"namespace": 4026532178, "pod": "batch/build-7"},
                "since": NOW,
            }
        ],
    }


def _condition(name: str) -> dict[str, str]:
    return {"type": name, "status": "False", "reason": "Sick", "lastTransitionTime": NOW}


def _get(plane: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("get", kind, name, "-o", "json"))
    return found


def _create(plane: ControlPlane, kind: str, name: str, rest: dict[str, Any]) -> None:
    plane.kubectl("create", "-f", "-", stdin=_object(kind, name, rest))


def _apply_status(
    plane: ControlPlane, name: str, status: dict[str, Any], manager: str, *flags: str
) -> None:
    command = ("apply", "--server-side", "--subresource=status", f"--field-manager={manager}")
    body = _object("NodeKernelHealth", name, {"status": status})
    plane.kubectl(*command, "--force-conflicts", *flags, "-f", "-", stdin=body)


def _phase(plane: ControlPlane, name: str, phase: str) -> None:
    status = {"status": {"phase": phase, "waitingFor": "Approval"}}
    _merge(plane, name, status, "--subresource=status")


def _patch(plane: ControlPlane, name: str, spec: dict[str, Any]) -> None:
    _merge(plane, name, {"spec": spec})


def _merge(plane: ControlPlane, name: str, body: dict[str, Any], *flags: str) -> None:
    plane.kubectl("patch", "nr", name, "--type=merge", f"-p={json.dumps(body)}", *flags)


def _object(kind: str, name: str, rest: dict[str, Any]) -> str:
    metadata = {"name": name}
    return json.dumps(
        {"apiVersion": "kernelhealth.io/v1alpha1", "kind": kind, "metadata": metadata, **rest}
    )
