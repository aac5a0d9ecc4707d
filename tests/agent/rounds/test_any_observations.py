from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from kernelhealth_agent import confirmation, findings, measures, report
from kernelhealth_agent.identity import Identity
from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Observation, Params, Reason, Severity, Subject
from kernelhealth_api.duration import Duration
from kernelhealth_api.v1alpha1.resource import Condition

START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


class Thresholds(Params):
    confirm_after: Duration = Field(timedelta(seconds=60), description="How long.")
    many: int = Field(5, description="How many.")


SLOW = Reason("Slow", Severity.WARNING, "Takes time", "confirm_after", "many")
QUICK = Reason("Quick", Severity.WARNING, "Takes no time")
NOTE = Reason("Note", Severity.INFO, "Only said", None, "many")
REASONS = st.sampled_from([SLOW, QUICK, NOTE])
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=1500)

observations = st.builds(
    Observation,
    reason=REASONS,
    key=st.text(max_size=300) | st.sampled_from("abc"),
    subject=st.builds(
        Subject,
        pod=st.none() | ANY_TEXT,
        namespace=st.none() | st.integers(0, 1 << 32),
        interfaces=st.lists(ANY_TEXT, max_size=8).map(tuple),
        rule=st.none() | ANY_TEXT,
    ),
    message=ANY_TEXT,
    cause=st.none() | st.sampled_from(["Bug", "Trap"]) | ANY_TEXT,
    cures=st.lists(st.sampled_from(["A", "B", "Reboot"]), unique=True).map(tuple),
    severity=st.none() | st.sampled_from(list(Severity)),
    began=st.none() | st.just(START.wall - timedelta(hours=1)),
)


def confirmed(*every: Observation, hours: float = 0.1) -> list[confirmation.Seen]:
    """What is confirmed of observations that were there at a second look."""
    first = confirmation.confirm(None, every, Thresholds(), START)
    now = START.after(hours * 3600)
    return list(confirmation.confirm(first.watch, every, Thresholds(), now).confirmed)


def setting(hours: float = 0.1, **more: object) -> measures.Setting:
    return measures.Setting(Thresholds(), START.after(hours * 3600), START, **more)  # type: ignore[arg-type]


@given(st.lists(st.lists(observations, max_size=12), max_size=5))
def test_each_observation_is_confirmed_or_suspected_and_never_both(
    looks: list[list[Observation]],
) -> None:
    watch = None
    for number, look in enumerate(looks):
        verdict = confirmation.confirm(watch, look, Thresholds(), START.after(40.0 * number))
        watch = verdict.watch

        there = {confirmation.identity(observation) for observation in look}
        certain = [confirmation.identity(seen.observation) for seen in verdict.confirmed]
        unsure = [confirmation.identity(seen.observation) for seen in verdict.suspected]
        assert sorted(certain + unsure) == sorted(there)
        assert set(watch.sightings) == there


@given(st.lists(observations, max_size=30))
def test_a_finding_counts_each_subject_once_and_the_report_fits(every: list[Observation]) -> None:
    found = findings.fold(confirmed(*every), setting())
    conditions = [
        Condition(type=f"C{n}", status="True", reason="R", message="m" * 900,
                  last_transition_time=START.wall)
        for n in range(6)
    ]  # fmt: skip

    status = report.assemble(conditions, found, 0, Identity("b", "k", "o"))

    body = json.dumps(report.wire(status), ensure_ascii=False).encode()
    distinct = {confirmation.identity(observation) for observation in every}
    assert sum(f.count for f in found) == len(distinct)
    assert report.size(status) <= report.MOST_BYTES
    assert len(body) < 8192
    assert status.truncated == (len(status.findings) < len(found))
    kept = {(f.reason, f.cause): f.count for f in found}
    assert all(kept[f.reason, f.cause] == f.count for f in status.findings)


@given(st.lists(observations, max_size=15), observations)
def test_one_more_subject_never_makes_the_node_healthier(
    every: list[Observation], more: Observation
) -> None:
    def worst(of: list[Observation]) -> int:
        folded = findings.fold(confirmed(*of), setting())
        return max((found.severity.rank for found in folded), default=-1)

    assert worst([*every, more]) >= worst(every)
