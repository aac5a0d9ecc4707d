"""Which rule answers what a report says."""

from __future__ import annotations

from typing import Any

import pytest

from kernelhealth_api.v1alpha1.finding import Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Match, Mode
from kernelhealth_operator.policy import match

MATCHES: dict[str, tuple[dict[str, Any], bool]] = {
    "the reason is named": ({"reasons": ("A", "B")}, True),
    "the reason is not named": ({"reasons": ("B",)}, False),
    "the cause is named": ({"causes": ("GssProxyPin",)}, True),
    "the cause is not named": ({"causes": ("Other",)}, False),
    "the reason is named but not the cause": ({"reasons": ("A",), "causes": ("Other",)}, False),
    "both are named": ({"reasons": ("A",), "causes": ("GssProxyPin",)}, True),
    "it is severe enough": ({"reasons": ("A",), "min_severity": Severity.WARNING}, True),
    "it is not severe enough": ({"reasons": ("A",), "min_severity": Severity.CRITICAL}, False),
    "nothing is named": ({}, False),
}


@pytest.mark.parametrize(("wanted", "expected"), MATCHES.values(), ids=MATCHES)
def test_a_finding_matches_when_every_given_part_holds(
    build: Any,
    wanted: dict[str, Any],
    expected: bool,  # noqa: FBT001
) -> None:
    finding = build.finding(reason="A", cause="GssProxyPin", severity=Severity.WARNING)

    assert match.matches(Match(**wanted), finding) is expected


def test_a_finding_without_a_cause_matches_no_cause(build: Any) -> None:
    assert not match.matches(Match(causes=("GssProxyPin",)), build.finding())


def warning(build: Any, reason: str) -> Any:
    return build.finding(reason=reason, severity=Severity.WARNING)


def about(build: Any, name: str, *reasons: str, mode: Mode | None = None) -> Any:
    return build.rule(name, match=Match(reasons=reasons), mode=mode)


def test_the_rule_with_the_worst_finding_wins(build: Any) -> None:
    policy = build.policy(about(build, "one", "A"), about(build, "two", "B"))
    report = build.report(warning(build, "A"), build.finding(reason="B"))

    firing = match.fired(policy, report)

    assert firing is not None
    assert (firing.rule.name, firing.reasons, firing.severity) == ("two", ("B",), Severity.CRITICAL)


def test_of_equally_bad_ones_the_first_rule_wins(build: Any) -> None:
    policy = build.policy(about(build, "one", "A"), about(build, "two", "B"))
    report = build.report(build.finding(reason="B"), build.finding(reason="A"))

    firing = match.fired(policy, report)

    assert firing is not None
    assert firing.rule.name == "one"


def test_the_evidence_is_all_that_the_rule_answers_worst_first(build: Any) -> None:
    policy = build.policy(about(build, "one", "A", "B"))
    report = build.report(warning(build, "A"), build.finding(reason="B"), warning(build, "C"))

    firing = match.fired(policy, report)

    assert firing is not None
    assert firing.reasons == ("B", "A")


def test_a_rule_that_observes_excepts_its_findings_from_those_below(build: Any) -> None:
    policy = build.policy(
        about(build, "one", "A", mode=Mode.OBSERVE), about(build, "two", "A", "B")
    )

    alone = match.fired(policy, build.report(build.finding(reason="A")))
    both = match.fired(policy, build.report(build.finding(reason="A"), warning(build, "B")))

    assert alone is not None
    assert alone.rule.name == "one"
    assert both is not None
    assert (both.rule.name, both.reasons) == ("two", ("B",))


def test_a_report_that_no_rule_is_about_fires_nothing(build: Any) -> None:
    assert match.fired(build.policy(), build.report(build.finding(reason="Z"))) is None


def test_the_time_counts_for_every_rule_that_has_something_to_answer(build: Any) -> None:
    policy = build.policy(
        about(build, "one", "A"), about(build, "two", "A", "B"), about(build, "three", "A")
    )
    report = build.report(build.finding(reason="A"), warning(build, "B"))

    assert match.matching(policy, report) == ("one", "two")


def test_a_node_is_kept_for_all_but_what_is_only_observed(build: Any) -> None:
    policy = build.policy(
        about(build, "one", "A", mode=Mode.OBSERVE),
        about(build, "two", "A", "B"),
        about(build, "three", "C", mode=Mode.PROPOSE),
    )
    report = build.report(*(build.finding(reason=reason) for reason in "ABCD"))

    kept = match.unresolved(policy, report)
    own = match.own(policy, policy.spec.rules[1], report)

    assert [finding.reason for finding in kept] == ["B", "C"]
    assert [finding.reason for finding in own] == ["B"]
