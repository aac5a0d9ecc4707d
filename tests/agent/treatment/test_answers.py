"""How an answer gets into the report, and what a report is worth because of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kernelhealth_agent import catalogue, report
from kernelhealth_agent.outbox import Outbox
from kernelhealth_agent.requests import LONGEST_MESSAGE, answer
from kernelhealth_agent.surgery import End, Result, told
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.nodekernelhealth import (
    Health,
    NodeKernelHealthSpec,
    NodeKernelHealthStatus,
)
from kernelhealth_api.v1alpha1.request import Fixing, HostAction, RequestState
from kernelhealth_api.v1alpha1.resource import Condition
from kernelhealth_e2e.treatment.ward import CURE, Ward, request

WALL = datetime(2026, 1, 1, 2, 3, 4, 5678, tzinfo=UTC)


def status(**parts: Any) -> NodeKernelHealthStatus:
    return NodeKernelHealthStatus(health=Health.HEALTHY, boot_id="b").model_copy(update=parts)


def test_a_new_answer_goes_out_at_once() -> None:
    outbox = Outbox(refresh=600.0, spread=0.0, chance=lambda: 0.5)
    outbox.offer(status(), 0.0)
    outbox.sent(status(), 1.0)
    quiet = outbox.due(2.0)

    outbox.offer(status(request=answer("id-1", RequestState.RUNNING, "at work")), 2.0)

    assert quiet == pytest.approx(301.0)
    assert outbox.due(2.0) == pytest.approx(2.0)


def test_an_answer_is_cut_to_a_length_that_leaves_room_for_findings() -> None:
    found = Finding(reason="X", severity=Severity.WARNING, message="x" * 1000, since=WALL)
    long = answer("i" * 253, RequestState.FAILED, "ä" * 5000, WALL)

    fitted = report.fitted(status(findings=(found,) * 16, request=long))

    assert fitted.request is not None
    assert len(fitted.request.message) == LONGEST_MESSAGE
    assert fitted.request.finished_at == WALL.replace(microsecond=0)
    assert len(fitted.findings) > 1
    assert report.size(fitted) <= report.MOST_BYTES


WORST = {"three bytes": "\u20ac", "four bytes": "\U0001f600", "escaped": '"', "control": "\x00"}


@pytest.mark.parametrize("letter", WORST.values(), ids=list(WORST))
def test_the_largest_answer_to_the_largest_request_leaves_the_object_within_its_limit(
    letter: str,
) -> None:
    found = Finding(reason="X", severity=Severity.WARNING, message="x" * 1000, since=WALL)
    every = [pair[1].condition for pair in catalogue.every()] + [f"Plugin{n}" for n in range(24)]
    conditions = tuple(
        Condition(
            type=name,
            status="False",
            reason="NetworkNamespacePinnedBySomething",
            message="m" * 1024,
            last_transition_time=WALL,
        )
        for name in every
    )
    asked = request(
        "i" * 253,
        boot_id="b" * 64,
        action=HostAction(reclaim=Fixing(fix="F" + "x" * 63, reasons=("NetworkNamespaceLeaked",))),
    )
    full = status(
        conditions=conditions,
        findings=(found,) * 16,
        problems="p" * 512,
        request=answer(asked.id, RequestState.FAILED, letter * 5000, WALL),
    )

    fitted = report.fitted(full)

    spec = NodeKernelHealthSpec(policy="p" * 63, request=asked)
    whole = {"spec": spec.model_dump(mode="json", by_alias=True), "status": report.wire(fitted)}
    assert report.size(fitted) <= report.MOST_BYTES
    assert len(json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()) < 8192
    assert fitted.request is not None
    assert fitted.request.id == asked.id
    assert fitted.request.message
    assert fitted.problems == full.problems
    assert len(fitted.conditions) == len(every)


@pytest.mark.parametrize("letter", WORST.values(), ids=list(WORST))
def test_an_answer_is_as_short_in_bytes_whatever_it_is_written_in(letter: str) -> None:
    said = answer("id-1", RequestState.FAILED, letter * 5000, WALL)

    assert 600 <= len(json.dumps(said.message, ensure_ascii=False).encode()) <= 1300


def test_a_common_answer_costs_no_finding() -> None:
    found = [
        Finding(reason=f"X{n}", severity=Severity.WARNING, message="x" * 200, since=WALL)
        for n in range(4)
    ]
    said = answer("nr-1-2-3", RequestState.SUCCEEDED, "UnmountNamespace: 2 done (a; b)", WALL)

    fitted = report.fitted(status(findings=tuple(found), request=said))

    assert fitted.findings == tuple(found)
    assert fitted.request == said


RESULTS = {
    "nothing": ([], 0, RequestState.REFUSED),
    "all done": ([End.ACHIEVED, End.ACHIEVED], 0, RequestState.SUCCEEDED),
    "some left alone": ([End.ACHIEVED, End.REFUSED], 0, RequestState.SUCCEEDED),
    "all left alone": ([End.REFUSED], 0, RequestState.REFUSED),
    "one failed": ([End.ACHIEVED, End.FAILED], 0, RequestState.FAILED),
    "not begun": ([End.ACHIEVED], 2, RequestState.FAILED),
}


@pytest.mark.parametrize("case", RESULTS)
def test_the_end_as_a_whole_is_as_good_as_its_parts(tmp_path: Any, case: str) -> None:
    ends, left, expected = RESULTS[case]

    state, message = told(Ward(tmp_path).fix(), [Result("t", end, "why") for end in ends], left)

    assert state is expected
    assert message.startswith(f"{CURE}: {ends.count(End.ACHIEVED)} done")


def test_of_many_some_are_named_and_all_are_counted(tmp_path: Any) -> None:
    results = [Result(f"leak {number}", End.ACHIEVED) for number in range(40)]

    _, message = told(Ward(tmp_path).fix(), results)

    assert message == f"{CURE}: 40 done (leak 0; leak 1; leak 2; leak 3 and 36 more)"
