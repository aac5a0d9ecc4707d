"""What is wrong with a policy beyond what its schema can see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    MaintenanceWindow,
    Match,
    Mode,
)
from kernelhealth_operator.policy.problems import Catalogue, problems


def match(**parts: Any) -> dict[str, Any]:
    return {"match": Match(**parts)}


def window(**changes: Any) -> MaintenanceWindow:
    values = {"schedule": "0 2 * * 6", "duration": timedelta(hours=4)}
    return MaintenanceWindow(**(values | changes))


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a misspelt reason": (
        match(reasons=("NetworkNamespaceLeaked", "ResidualPodLinks")),
        {},
        (
            "spec.rules[0].match.reasons[1]: 'ResidualPodLinks' is no known reason: "
            "did you mean ResidualPodLink?"
        ),
    ),
    "an unknown cause": (
        match(causes=("Gremlins",)),
        {},
        "spec.rules[0].match.causes[0]: 'Gremlins' is no known cause: known are GssProxyPin",
    ),
    "a match of nothing": (
        match(),
        {},
        (
            "spec.rules[0].match: names neither reasons nor causes nor an uptime, so that it never "
            "matches: add one"
        ),
    ),
    "a reboot in a window that there is not": (
        {"actions": ({"reboot": {}},)},
        {},
        (
            "spec.rules[0].actions[0].reboot: waits for a maintenance window, but the policy has "
            "none: add one, or set when: Now"
        ),
    ),
    "a reboot that takes longer than any window": (
        {"actions": ({"reboot": {"expected": "5h"}},)},
        {"maintenance_windows": (window(),)},
        (
            "spec.rules[0].actions[0].reboot: every maintenance window is shorter than expected: "
            "lengthen one, or shorten that"
        ),
    ),
    "an age that nothing is done about": (
        {"match": Match(uptime=timedelta(hours=720))},
        {},
        "spec.rules[0].actions: reboot nothing, so that it stays as old: add reboot",
    ),
    "an unknown action": (
        {"actions": ({"cordn": {}},)},
        {},
        "spec.rules[0].actions[0].cordn: 'cordn' is no known action: did you mean cordon?",
    ),
    "an action with a parameter that it does not have": (
        {"actions": ({"cordon": {"gently": True}},)},
        {},
        (
            "spec.rules[0].actions[0].cordon.gently: is refused by cordon: "
            "Extra inputs are not permitted"
        ),
    ),
    "two actions in one entry": (
        {"actions": ({"cordon": {}, "reboot": {}},)},
        {},
        "spec.rules[0].actions[0]: has 2 actions: write exactly one in each entry",
    ),
    "an unknown detector": (
        {},
        {"detectors": {"networkNamespace": {}}},
        (
            "spec.detectors.networkNamespace: 'networkNamespace' is no known detector: "
            "did you mean networkNamespaces?"
        ),
    ),
    "an unknown parameter of a detector": (
        {},
        {"detectors": {"networkNamespaces": {"confirm": "2m"}}},
        (
            "spec.detectors.networkNamespaces.confirm: "
            "'confirm' is no known parameter of networkNamespaces: did you mean confirmAfter?"
        ),
    ),
    "a time zone that does not exist": (
        {},
        {"maintenance_windows": (window(), window(time_zone="Europe/Nowhere"))},
        (
            "spec.maintenanceWindows[1].timeZone: 'Europe/Nowhere' is not a time zone: "
            "write an IANA name, for example Europe/Berlin"
        ),
    ),
    "a schedule that cannot be read": (
        {},
        {"maintenance_windows": (window(schedule="0 2 * * 8"),)},
        (
            "spec.maintenanceWindows[0].schedule: '0 2 * * 8' is not a schedule (Bad day-of-week): "
            "write minute hour day-of-month month day-of-week, for example 0 2 * * 6"
        ),
    ),
    "a schedule that never comes": (
        {},
        {"maintenance_windows": (window(schedule="0 2 * 2 MON#5"),)},
        (
            "spec.maintenanceWindows[0].schedule: '0 2 * 2 MON#5' does not come within 5 years: "
            "choose another day"
        ),
    ),
    "a window without length": (
        {},
        {"maintenance_windows": (window(duration=timedelta(0)),)},
        "spec.maintenanceWindows[0].duration: is 0, so that the window never opens: lengthen it",
    ),
    "a policy that acts but may take no node": (
        {},
        {"mode": Mode.AUTO, "disruption": Disruption(max_unavailable="0%")},
        (
            "spec.disruption.maxUnavailable: allows no node to be unavailable although the mode is "
            "Auto: allow at least one, or choose the mode Observe"
        ),
    ),
    "a rule that acts in a policy that may take no node": (
        {"mode": Mode.AUTO},
        {"mode": Mode.OBSERVE, "disruption": Disruption(max_unavailable=0)},
        (
            "spec.disruption.maxUnavailable: allows no node to be unavailable although the mode is "
            "Auto: allow at least one, or choose the mode Observe"
        ),
    ),
    "a policy that acts but may take no node of any zone": (
        {},
        {"mode": Mode.AUTO, "disruption": Disruption(max_unavailable_per_zone="0%")},
        (
            "spec.disruption.maxUnavailablePerZone: allows no node to be unavailable although the "
            "mode is Auto: allow at least one"
        ),
    ),
    "a share of a zone that is none": (
        {},
        {"disruption": Disruption(max_unavailable_per_zone="few")},
        (
            "spec.disruption.maxUnavailablePerZone: 'few' is neither a number of nodes nor a share "
            "such as 10%"
        ),
    ),
    "a hand-over without a template": (
        {"actions": ({"replace": {}},)},
        {},
        (
            "spec.rules[0].actions[0].replace: via medik8s needs the apiVersion, kind, name and "
            "namespace of a template"
        ),
    ),
    "a share that is none": (
        {},
        {"disruption": Disruption(min_healthy="most")},
        "spec.disruption.minHealthy: 'most' is neither a number of nodes nor a share such as 10%",
    ),
}


@pytest.fixture(scope="module")
def catalogue(build: Any) -> Catalogue:
    return Catalogue(
        reasons=frozenset({"NetworkNamespaceLeaked", "ResidualPodLink"}),
        causes=frozenset({"GssProxyPin"}),
        detectors={"networkNamespaces": frozenset({"confirmAfter", "criticalCount"})},
        remediations=build.remediations,
    )


@pytest.mark.parametrize(("rule", "spec", "sentence"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_field(
    build: Any, catalogue: Catalogue, rule: dict[str, Any], spec: dict[str, Any], sentence: str
) -> None:
    policy = build.policy(build.rule(**rule), **spec)

    found = problems(policy.spec, catalogue, build.now)

    assert sentence in [str(problem) for problem in found]


def test_a_name_that_two_rules_have_is_wrong_in_the_second(
    build: Any, catalogue: Catalogue
) -> None:
    policy = build.policy(build.rule("one"), build.rule("two"), build.rule("one"))

    (found,) = problems(policy.spec, catalogue, build.now)

    assert str(found) == (
        "spec.rules[2].name: 'one' is the name of spec.rules[0] already: give each its own"
    )


def test_nothing_is_wrong_with_a_good_policy(build: Any, catalogue: Catalogue) -> None:
    policy = build.policy(
        detectors={"networkNamespaces": {"confirmAfter": "10s"}},
        maintenance_windows=(window(time_zone="Europe/Berlin"),),
    )

    assert problems(policy.spec, catalogue, build.now) == ()


def test_all_that_is_wrong_is_said_at_once(build: Any, catalogue: Catalogue) -> None:
    policy = build.policy(
        build.rule(match=Match(reasons=("X", "Y"))),
        detectors={"z": {}},
        maintenance_windows=(window(time_zone="N"),),
    )

    found = problems(policy.spec, catalogue, build.now)

    assert [problem.field for problem in found] == [
        "spec.detectors.z",
        "spec.rules[0].match.reasons[0]",
        "spec.rules[0].match.reasons[1]",
        "spec.maintenanceWindows[0].timeZone",
    ]
