"""What the lab says of its outcomes: a table, a document, JUnit's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kernelhealth_e2e.lab import records, report, results
from kernelhealth_e2e.lab.outcome import Boot, Mark, Outcome, Stage, Step, Subject
from kernelhealth_e2e.lab.scenarios import breadth

DOCS = Path(__file__).resolve().parents[3] / "docs"
BOTH = (Stage.REPRODUCED, Stage.DETECTED)


def outcome(
    *steps: Step, run: str = "freed", kernel: str = "6.12", error: str = "", seconds: float = 31.0
) -> Outcome:
    subject = Subject("gssproxy", run, kernel, "6.12.1-amd64")
    return Outcome(subject, BOTH, steps, Boot(seconds, 400.0, 120.0), error)


def seen(stage: Stage, mark: Mark = Mark.YES) -> Step:
    return Step(stage, mark, 12.34, f"{stage} it was")


def test_a_run_has_passed_when_every_expected_stage_was_gone_through() -> None:
    assert outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED)).passed
    assert outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED, Mark.SILENT)).passed


@pytest.mark.parametrize(
    "failed",
    [
        outcome(seen(Stage.REPRODUCED)),
        outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED, Mark.FAILED)),
        outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED), error="the node never came back"),
        outcome(),
    ],
)
def test_a_run_without_one_of_them_or_with_an_error_has_not(failed: Outcome) -> None:
    assert not failed.passed
    assert report.complaint(failed)


def test_junit_counts_what_failed_and_says_why() -> None:
    good = outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED))
    bad = outcome(seen(Stage.REPRODUCED), run="rebooted", error="it <never> came back\nlog")

    suite = ET.fromstring(report.junit([good, bad]))  # noqa: S314 - made by ourselves

    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "it <never> came back"


def test_the_document_says_how_each_stage_ended() -> None:
    good = outcome(seen(Stage.REPRODUCED), seen(Stage.DETECTED, Mark.SILENT))
    subject = Subject("breadth", "scan", "5.10", "5.10.0-32")
    other = Outcome(subject, (Stage.VERIFIED,), (seen(Stage.VERIFIED),), Boot(40, 350, 90))

    text = report.document((breadth.SCENARIO,), {"5.10": "Debian 11"}, (good, other))

    assert "| scan | 5.10 | - | - | - | - | yes, 12.3 s | 40 s | 90 MiB |" in text
    assert "| scan | 6.1-bare | not played yet |" in text
    assert "| 5.10 | Debian 11 | 5.10.0-32 | 350 |" in text
    assert "verified it was" in text


def test_new_outcomes_take_the_place_of_those_before_in_the_order_of_the_lab() -> None:
    old = (outcome(run="freed"), outcome(run="rebooted"), outcome(run="given up"))
    new = (outcome(run="freed", seconds=1.0),)
    order = (("gssproxy", "rebooted", "6.12"), ("gssproxy", "freed", "6.12"))

    merged = results.merged(old, new, order)

    assert [one.subject.run for one in merged] == ["rebooted", "freed"]
    assert merged[1] == new[0]


def test_outcomes_are_read_as_they_were_written() -> None:
    written = (outcome(seen(Stage.REPRODUCED)), Outcome(Subject("a", "b", "c", ""), (), ()))

    assert results.loads(results.dumps(written)) == written


def test_the_document_in_the_tree_is_that_of_the_outcomes_beside_it() -> None:
    outcomes = results.load(DOCS / "lab.json")

    assert outcomes
    assert (DOCS / "lab.md").read_text(encoding="utf-8") == records.document(outcomes)
