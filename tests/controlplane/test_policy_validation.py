from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_e2e.errors import ProcessError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("manifests/examples/*.yaml"))
GOOD: dict[str, Any] = {
    "apiVersion": "kernelhealth.io/v1alpha1",
    "kind": "KernelHealthPolicy",
    "metadata": {"name": "workers"},
    "spec": {
        "mode": "Auto",
        "nodeSelector": {
            "matchLabels": {"example.com/pool": "batch"},
            "matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}],
        },
        "rules": [
            {
                "name": "leaking-node",
                "match": {"reasons": ["NetworkNamespaceLeaked"]},
                "for": "5m",
                "actions": [{"cordon": {}}],
            }
        ],
        "disruption": {"maxUnavailable": "10%", "minHealthy": 2},
        "maintenanceWindows": [{"schedule": "0 2 * * 6", "duration": "4h"}],
        "recovery": {"healthyDelay": "10m", "coolDown": "1h"},
        "pauseRequests": [],
    },
}
RULE = GOOD["spec"]["rules"][0]
NOT_A_DURATION = "must be a duration such as 30s, 5m or 1h30m"
NOT_A_SHARE = "must be a number of nodes from 0 to 99999, or a share from 0% to 100%"
NO_SUCH_MODE = 'supported values: "Observe", "Propose", "Auto"'
FIVE_FIELDS = "must have five fields, minute hour day-of-month month day-of-week"
LABEL = "must have the form of a label"
ONE_ACTION = "each entry must name exactly one action, one of cordon"

# What is wrong: the field that is set, its value, the field that the error names, and its words.
WRONG: dict[str, tuple[str, Any, str, str]] = {
    "a hand-over that says not to what": (
        "rules.0.actions",
        [{"replace": {"template": {"name": "all", "namespace": "medik8s"}}}],
        "spec.rules[0].actions[0].replace.template",
        "needs its apiVersion, kind, name and namespace",
    ),
    "a hand-over by a condition of the kubelet": (
        "rules.0.actions",
        [{"replace": {"via": "karpenter", "condition": "Ready"}}],
        "spec.rules[0].actions[0].replace.condition",
        "none of the kubelet's",
    ),
    "no node of any zone": (
        "disruption.maxUnavailablePerZone",
        "0%",
        "spec.disruption.maxUnavailablePerZone",
        "lets nothing be done in mode Auto",
    ),
    "a threshold below zero": (
        "disruption.stormThreshold",
        -1,
        "spec.disruption.stormThreshold",
        "greater than or equal to 0",
    ),
    "a storm that never cools down": (
        "disruption.stormCooldownDuration",
        "0s",
        "spec.disruption.stormCooldownDuration",
        "stormCooldownDuration must be",
    ),
    "an unknown mode": ("mode", "Automatic", "spec.mode", NO_SUCH_MODE),
    "a mode that is no text": ("mode", 1, "spec.mode", "must be of type string"),
    "an unknown mode of a rule": ("rules.0.mode", "auto", "spec.rules[0].mode", NO_SUCH_MODE),
    "an unknown field": ("mod", "Auto", "spec.mod", "unknown field"),
    "an unknown field of a rule": ("rules.0.four", "5m", "spec.rules[0].four", "unknown field"),
    "an unknown detector": ("detectors", {"tea": {}}, "spec.detectors.tea", "unknown field"),
    "a priority beyond reason": ("priority", 2_000_000, "spec.priority", "less than or equal to"),
    "an unknown action": (
        "rules.0.actions",
        [{"format": {}}],
        "spec.rules[0].actions[0].format",
        "unknown field",
    ),
    "two actions in one entry": (
        "rules.0.actions",
        [{"cordon": {}, "drain": {}}],
        "spec.rules[0].actions[0]",
        ONE_ACTION,
    ),
    "an unknown parameter of an action": (
        "rules.0.actions",
        [{"cordon": {"hard": True}}],
        "spec.rules[0].actions[0].cordon.hard",
        "unknown field",
    ),
    "an entry without action": (
        "rules.0.actions",
        [{}],
        "spec.rules[0].actions[0]",
        ONE_ACTION,
    ),
    "an action by its bare name": (
        "rules.0.actions",
        ["cordon"],
        "spec.rules[0].actions[0]",
        "must be of type object",
    ),
    "a rule that does nothing": (
        "rules.0.actions",
        [],
        "spec.rules[0].actions",
        "should have at least 1 items",
    ),
    "a rule without actions": ("rules.0.actions", None, "spec.rules[0].actions", "Required value"),
    "the same action twice": (
        "rules.0.actions",
        [{"cordon": {}}, {"cordon": {}}],
        "spec.rules[0].actions",
        "cordon must be there only once",
    ),
    "too many actions": (
        "rules.0.actions",
        [{"cordon": {}}] * 9,
        "spec.rules[0].actions",
        "must have at most 8 items",
    ),
    "a rule without match": ("rules.0.match", None, "spec.rules[0].match", "Required value"),
    "a match of everything": (
        "rules.0.match",
        {},
        "spec.rules[0].match",
        "match must name at least one reason or cause",
    ),
    "an age beside reasons": (
        "rules.0.match.uptime",
        "720h",
        "spec.rules[0].match",
        "match must name either an uptime or reasons and causes",
    ),
    "an age of minutes": (
        "rules.0.match",
        {"uptime": "30m"},
        "spec.rules[0].match.uptime",
        "uptime must be at least 1h and at most 87600h",
    ),
    "an unknown time for a reboot": (
        "rules.0.actions",
        [{"reboot": {"when": "Sometime"}}],
        "spec.rules[0].actions[0].reboot.when",
        'supported values: "MaintenanceWindow", "Now", "BeforeExhaustion"',
    ),
    "a DaemonSet without a namespace": (
        "rules.0.actions",
        [{"reboot": {"kured": "kured"}}],
        "spec.rules[0].actions[0].reboot.kured",
        "should match",
    ),
    "empty reasons": (
        "rules.0.match.reasons",
        [],
        "spec.rules[0].match",
        "match must name at least one reason or cause",
    ),
    "a reason that is a sentence": (
        "rules.0.match.reasons",
        ["it leaks"],
        "spec.rules[0].match.reasons[0]",
        "each must be one word in CamelCase, such as NetworkNamespaceLeaked",
    ),
    "the same reason twice": (
        "rules.0.match.reasons",
        ["NetworkNamespaceLeaked", "NetworkNamespaceLeaked"],
        "spec.rules[0].match.reasons[1]",
        "Duplicate value",
    ),
    "a cause in lower case": (
        "rules.0.match.causes",
        ["gssproxy"],
        "spec.rules[0].match.causes[0]",
        "each must be one word in CamelCase, such as GssProxyPin",
    ),
    "an unknown severity": (
        "rules.0.match.minSeverity",
        "Fatal",
        "spec.rules[0].match.minSeverity",
        'supported values: "Info", "Warning", "Critical"',
    ),
    "a rule without name": ("rules.0.name", None, "spec.rules[0].name", "Required value"),
    "a rule with a name in capitals": (
        "rules.0.name",
        "Leaking Node",
        "spec.rules[0].name",
        "name must be of lower case letters, digits and hyphens",
    ),
    "two rules of one name": ("rules", [RULE, RULE], "spec.rules[1]", "Duplicate value"),
    "a wait without unit": ("rules.0.for", "5", "spec.rules[0].for", f"for {NOT_A_DURATION}"),
    "a wait in words": ("rules.0.for", "5 min", "spec.rules[0].for", f"for {NOT_A_DURATION}"),
    "a negative wait": ("rules.0.for", "-5m", "spec.rules[0].for", f"for {NOT_A_DURATION}"),
    "a wait that is a number": ("rules.0.for", 300, "spec.rules[0].for", "of type string"),
    "a wait of years": (
        "rules.0.for",
        "99999h",
        "spec.rules[0].for",
        "for must be at least 0s and at most 168h",
    ),
    "a wait that overflows": (
        "rules.0.for",
        "9" * 30 + "h",
        "spec.rules[0].for",
        f"for {NOT_A_DURATION}",
    ),
    "a drain of a node that takes new pods": (
        "rules.0.actions",
        [{"drain": {}}, {"cordon": {}}],
        "spec.rules[0].actions",
        "drain must come after cordon or taint",
    ),
    "no node may be unavailable, with mode Auto": (
        "disruption.maxUnavailable",
        "0%",
        "spec.disruption.maxUnavailable",
        "maxUnavailable of 0 lets nothing be done in mode Auto: allow at least 1 node",
    ),
    "zero nodes may be unavailable, with mode Auto": (
        "disruption.maxUnavailable",
        0,
        "spec.disruption.maxUnavailable",
        "maxUnavailable of 0 lets nothing be done in mode Auto: allow at least 1 node",
    ),
    "a negative number of nodes": (
        "disruption.maxUnavailable",
        -1,
        "spec.disruption.maxUnavailable",
        f"maxUnavailable {NOT_A_SHARE}",
    ),
    "more than all nodes": (
        "disruption.maxUnavailable",
        "150%",
        "spec.disruption.maxUnavailable",
        f"maxUnavailable {NOT_A_SHARE}",
    ),
    "a share in words": (
        "disruption.minHealthy",
        "half",
        "spec.disruption.minHealthy",
        f"minHealthy {NOT_A_SHARE}",
    ),
    "a share that is a fraction": (
        "disruption.minHealthy",
        0.5,
        "spec.disruption.minHealthy",
        "must be of type integer,string",
    ),
    "all nodes must be healthy, with mode Auto": (
        "disruption.minHealthy",
        "100%",
        "spec.disruption.minHealthy",
        "minHealthy of 100% lets nothing be done in mode Auto: lower it",
    ),
    "a schedule of three fields": (
        "maintenanceWindows.0.schedule",
        "0 2 *",
        "spec.maintenanceWindows[0].schedule",
        FIVE_FIELDS,
    ),
    "a schedule with seconds": (
        "maintenanceWindows.0.schedule",
        "0 0 2 * * 6",
        "spec.maintenanceWindows[0].schedule",
        FIVE_FIELDS,
    ),
    "a schedule by nickname": (
        "maintenanceWindows.0.schedule",
        "@weekly",
        "spec.maintenanceWindows[0].schedule",
        FIVE_FIELDS,
    ),
    "minute 60": (
        "maintenanceWindows.0.schedule",
        "60 2 * * 6",
        "spec.maintenanceWindows[0].schedule",
        "the minute must be 0 to 59",
    ),
    "hour 24": (
        "maintenanceWindows.0.schedule",
        "0 1,24 * * 6",
        "spec.maintenanceWindows[0].schedule",
        "the hour must be 0 to 23",
    ),
    "the 32nd of the month": (
        "maintenanceWindows.0.schedule",
        "0 2 30-32 * *",
        "spec.maintenanceWindows[0].schedule",
        "the day of the month must be 1 to 31, L or LW",
    ),
    "month 0": (
        "maintenanceWindows.0.schedule",
        "0 2 * 0 *",
        "spec.maintenanceWindows[0].schedule",
        "the month must be 1 to 12 or JAN to DEC",
    ),
    "a day of the week in full": (
        "maintenanceWindows.0.schedule",
        "0 2 * * Saturday",
        "spec.maintenanceWindows[0].schedule",
        "the day of the week must be 0 to 7 or SUN to SAT",
    ),
    "a step of zero": (
        "maintenanceWindows.0.schedule",
        "*/0 2 * * 6",
        "spec.maintenanceWindows[0].schedule",
        "the minute must be 0 to 59",
    ),
    "a window without schedule": (
        "maintenanceWindows.0.schedule",
        None,
        "spec.maintenanceWindows[0].schedule",
        "Required value",
    ),
    "a window that closes at once": (
        "maintenanceWindows.0.duration",
        "0s",
        "spec.maintenanceWindows[0].duration",
        "duration must be at least 1s and at most 168h",
    ),
    "a window of more than a week": (
        "maintenanceWindows.0.duration",
        "169h",
        "spec.maintenanceWindows[0].duration",
        "duration must be at least 1s and at most 168h",
    ),
    "a time zone with a blank": (
        "maintenanceWindows.0.timeZone",
        "Europe Berlin",
        "spec.maintenanceWindows[0].timeZone",
        "timeZone must be a name of the IANA database, such as UTC or Europe/Berlin",
    ),
    "an empty time zone": (
        "maintenanceWindows.0.timeZone",
        "",
        "spec.maintenanceWindows[0].timeZone",
        "timeZone must be a name of the IANA database",
    ),
    "a node given back at once": (
        "recovery.healthyDelay",
        "0s",
        "spec.recovery.healthyDelay",
        "healthyDelay must be at least 1s and at most 168h",
    ),
    "a cool-down of a year": (
        "recovery.coolDown",
        "8760h",
        "spec.recovery.coolDown",
        "coolDown must be at least 0s and at most 720h",
    ),
    "an unknown operator of a selector": (
        "nodeSelector.matchExpressions.0.operator",
        "Equals",
        "spec.nodeSelector.matchExpressions[0].operator",
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ),
    "operator In without values": (
        "nodeSelector.matchExpressions.0.values",
        None,
        "spec.nodeSelector.matchExpressions[0].values",
        "operator In and NotIn need at least one",
    ),
    "operator Exists with values": (
        "nodeSelector.matchExpressions.0.operator",
        "Exists",
        "spec.nodeSelector.matchExpressions[0].values",
        "Exists and DoesNotExist take none",
    ),
    "a selector by something that is no label": (
        "nodeSelector.matchExpressions.0.key",
        "no label",
        "spec.nodeSelector.matchExpressions[0].key",
        f"key {LABEL}",
    ),
    "a label that is none": (
        "nodeSelector.matchLabels",
        {"no label": "x"},
        "spec.nodeSelector.matchLabels",
        f"each key {LABEL}",
    ),
    "a label with a value that is none": (
        "nodeSelector.matchLabels",
        {"pool": "no value!"},
        "spec.nodeSelector.matchLabels",
        f"values {LABEL}",
    ),
    "a pause without a word": (
        "pauseRequests",
        [""],
        "spec.pauseRequests[0]",
        "should be at least 1 chars long",
    ),
    "the same pause twice": (
        "pauseRequests",
        ["me: wait", "me: wait"],
        "spec.pauseRequests[1]",
        "Duplicate value",
    ),
}

RIGHT: dict[str, tuple[str, Any]] = {
    "a reason that is not known yet": ("rules.0.match.reasons", ["SomethingOfTomorrow"]),
    "causes instead of reasons": ("rules.0.match", {"causes": ["GssProxyPin"]}),
    "no rule at all": ("rules", []),
    "everything by default": ("", {}),
    "one node by number": ("disruption.maxUnavailable", 1),
    "one node by number in quotes": ("disruption.maxUnavailable", "1"),
    "at once": ("rules.0.for", "0s"),
    "hours and minutes": ("rules.0.for", "1h30m"),
    "parts of a second": ("rules.0.for", "1.5s"),
    "lists, ranges, steps and names in a schedule": (
        "maintenanceWindows.0.schedule",
        "*/15,59 0-6/2 1,L jan-MAR mon-fri",
    ),
    "the second Saturday": ("maintenanceWindows.0.schedule", "00 02 * * SAT#2"),
    "the last Friday": ("maintenanceWindows.0.schedule", "  5   4 * *  5L "),
    "a time zone of three parts": (
        "maintenanceWindows.0.timeZone",
        "America/Argentina/Buenos_Aires",
    ),
    "a time zone with an offset": ("maintenanceWindows.0.timeZone", "Etc/GMT+12"),
    "a label with an empty value": (
        "nodeSelector.matchLabels",
        {"node-role.kubernetes.io/control-plane": ""},
    ),
    "a pause that says why": ("pauseRequests", ["storage-team: migrating volumes"]),
}


@pytest.mark.parametrize(("path", "value", "field", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_policy_is_refused_with_a_sentence_that_names_the_field(
    crds: ControlPlane, path: str, value: Any, field: str, words: str
) -> None:
    with pytest.raises(ProcessError) as refusal:
        _try(crds, _changed(path, value))

    assert re.search(rf"[\s\"]{re.escape(field)}[:\"]", str(refusal.value))
    assert words in str(refusal.value)


def test_no_node_may_be_unavailable_when_only_one_rule_is_automatic(crds: ControlPlane) -> None:
    policy = _changed("mode", "Observe")
    policy["spec"]["rules"].append(RULE | {"name": "second", "mode": "Auto"})
    policy["spec"]["disruption"]["maxUnavailable"] = 0

    with pytest.raises(ProcessError, match="maxUnavailable of 0 lets nothing be done"):
        _try(crds, policy)


@pytest.mark.parametrize("mode", ["Observe", "Propose"])
def test_no_node_may_be_unavailable_where_nothing_is_automatic(
    crds: ControlPlane, mode: str
) -> None:
    policy = _changed("mode", mode)
    policy["spec"]["disruption"]["maxUnavailable"] = "0%"

    assert _try(crds, policy)["spec"]["disruption"]["maxUnavailable"] == "0%"


def test_an_unknown_action_is_refused_by_a_client_that_lets_unknown_fields_pass(
    crds: ControlPlane,
) -> None:
    policy = _changed("rules.0.actions", [{"format": {}}])

    with pytest.raises(ProcessError, match=ONE_ACTION):
        _try(crds, policy, "--validate=ignore")


def test_a_policy_without_spec_is_refused(crds: ControlPlane) -> None:
    policy = {key: value for key, value in GOOD.items() if key != "spec"}

    with pytest.raises(ProcessError, match="spec: Required value"):
        _try(crds, policy)


@pytest.mark.parametrize(("path", "value"), RIGHT.values(), ids=RIGHT)
def test_a_right_policy_is_accepted_and_means_the_same_to_the_operator(
    crds: ControlPlane, path: str, value: Any
) -> None:
    policy = _changed(path, value)

    stored = _try(crds, policy)

    understood = KernelHealthPolicySpec.model_validate(policy["spec"])
    assert KernelHealthPolicySpec.model_validate(stored["spec"]) == understood


def test_what_is_left_out_is_filled_in_for_everyone_to_see(crds: ControlPlane) -> None:
    stored = _try(crds, _changed("", {}))

    assert stored["spec"] == {
        "disruption": {
            "maxUnavailable": "10%",
            "minHealthy": "51%",
            "stormCooldownDuration": "15m",
            "stormThreshold": 5,
        },
        "mode": "Observe",
        "priority": 0,
        "recovery": {"coolDown": "1h", "healthyDelay": "10m"},
    }


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_and_named_after_its_file(crds: ControlPlane, path: Path) -> None:
    policy = yaml.safe_load(path.read_text())

    assert policy["metadata"]["name"] == path.stem
    assert _try(crds, policy)["spec"]["mode"] in {"Observe", "Propose", "Auto"}


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


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Return the good policy with *value* at *path* below spec; None removes what is there."""
    policy = deepcopy(GOOD)
    place: Any = policy
    *steps, last = f"spec.{path}".rstrip(".").split(".")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return policy


def _try(crds: ControlPlane, policy: dict[str, Any], *flags: str) -> dict[str, Any]:
    """Have the API server judge *policy* without keeping it; return what it would have kept."""
    command = ("create", "--dry-run=server", "-o", "json", "-f", "-", *flags)
    answer: dict[str, Any] = json.loads(crds.kubectl(*command, stdin=json.dumps(policy)))
    return answer
