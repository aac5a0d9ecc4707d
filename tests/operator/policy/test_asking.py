"""Asking an agent for cures: which, in which order, and what an answer or silence means."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api.cures import Stage
from kernelhealth_api.procedure import (
    AskAgent,
    Await,
    Finished,
    GaveUp,
    Patient,
    Proceed,
    Progress,
)
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_api.v1alpha1.noderemediation import RungState
from kernelhealth_api.v1alpha1.request import HostRequest, RequestState, RequestStatus
from kernelhealth_operator.policy import asking

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNLOAD, UNMOUNT = "UnloadRpcGssModule", "UnmountNamespace"


def finding(*cures: str, reason: str = "NetworkNamespaceLeaked") -> Finding:
    return Finding(
        reason=reason, severity=Severity.CRITICAL, message=reason, since=NOW, cures=cures
    )


def patient(*findings: Finding, **changes: Any) -> Patient:
    values: dict[str, Any] = {
        "now": NOW,
        "name": "worker-1",
        "uid": "uid-1",
        "resource_version": "100",
        "owner": "worker-1-abc",
        "number": 1,
        "rung": RungState(action="reclaim", state="Running", started_at=NOW),
        "policy": KernelHealthPolicySpec(),
        "boot_id": "boot-1",
        "findings": findings or (finding(UNLOAD, UNMOUNT, "Reboot"),),
    }
    return Patient(**(values | changes))


def reclaimed(patient: Patient, *risky: str) -> Progress:
    return asking.advance(patient, Stage.RECLAIM, risky)


def request_in(progress: Progress) -> HostRequest:
    assert isinstance(progress, Proceed)
    (effect,) = progress.effects
    assert isinstance(effect, AskAgent)
    return effect.request


def after(*asked: HostRequest, **changes: Any) -> Patient:
    """The patient once these were asked for, the last of them last."""
    ids = tuple(each.id for each in asked)
    rung = RungState(action="reclaim", state="Running", started_at=NOW, requests=ids)
    return patient(**{"rung": rung, "asked": asked[-1], **changes})


def answer(request: HostRequest, state: RequestState) -> RequestStatus:
    return RequestStatus(id=request.id, state=state, message="it was looked at")


FIRST = request_in(reclaimed(patient()))


def test_the_mildest_cure_of_the_stage_is_asked_for_with_the_reasons_it_is_for() -> None:
    request = request_in(reclaimed(patient()))

    assert request.action.reclaim is not None
    assert request.action.reclaim.fix == UNLOAD
    assert request.action.reclaim.reasons == ("NetworkNamespaceLeaked",)
    assert request.action.fix_config is None
    assert request.boot_id == "boot-1"
    assert request.deadline == NOW + timedelta(minutes=5)


def test_a_cure_that_stops_the_cause_is_asked_for_as_such() -> None:
    sick = patient(finding("DisableKernelNfsd", UNLOAD))

    request = request_in(asking.advance(sick, Stage.FIX_CONFIG, ()))

    assert request.action.fix_config is not None
    assert request.action.fix_config.fix == "DisableKernelNfsd"


def test_the_reasons_of_all_findings_with_that_cure_are_named_once() -> None:
    sick = patient(finding(UNLOAD), finding(UNLOAD), finding(UNLOAD, reason="NamespaceLeaked"))

    request = request_in(reclaimed(sick))

    assert request.action.reclaim is not None
    assert request.action.reclaim.reasons == ("NetworkNamespaceLeaked", "NamespaceLeaked")


def test_where_no_finding_names_a_cure_of_that_kind_the_rung_is_skipped_without_a_word() -> None:
    progress = reclaimed(patient(finding("DisableKernelNfsd", "Reboot", "NoSuchCure")))

    assert progress == GaveUp("no finding names a cure of the kind reclaim", quietly=True)


def test_a_risky_cure_is_not_asked_for_and_the_person_is_told_how_it_would_be() -> None:
    progress = reclaimed(patient(finding("DeleteResidualLink")))

    assert isinstance(progress, GaveUp)
    assert progress.quietly
    assert progress.message.startswith("DeleteResidualLink might help")
    assert progress.message.endswith("where a policy names it in reclaim.fixes")


def test_a_risky_cure_is_asked_for_where_the_policy_names_it() -> None:
    request = request_in(reclaimed(patient(finding("DeleteResidualLink")), "DeleteResidualLink"))

    assert request.action.reclaim is not None
    assert request.action.reclaim.fix == "DeleteResidualLink"


def test_nothing_is_asked_for_while_it_is_not_known_which_boot_runs() -> None:
    progress = reclaimed(patient(boot_id=None))

    assert isinstance(progress, Await)
    assert progress.reason == "BootUnknown"


@pytest.mark.parametrize("state", [RequestState.ACCEPTED, RequestState.RUNNING])
def test_an_agent_at_work_is_waited_for_and_its_word_is_passed_on(state: RequestState) -> None:
    progress = reclaimed(after(FIRST, answer=answer(FIRST, state)))

    assert isinstance(progress, Await)
    assert progress.reason == "AgentAsked"
    assert progress.message.endswith("it was looked at")
    assert progress.retry_at == NOW + timedelta(seconds=30)


def test_an_answer_to_another_request_is_none_to_this_one() -> None:
    other = RequestStatus(id="another", state=RequestState.SUCCEEDED, message="done")

    progress = reclaimed(after(FIRST, answer=other))

    assert isinstance(progress, Await)


@pytest.mark.parametrize(
    "state", [RequestState.SUCCEEDED, RequestState.FAILED, RequestState.REFUSED]
)
def test_after_each_final_answer_the_next_cure_is_asked_for(state: RequestState) -> None:
    progress = reclaimed(after(FIRST, answer=answer(FIRST, state)))

    request = request_in(progress)
    assert request.action.reclaim is not None
    assert request.action.reclaim.fix == UNMOUNT
    assert request.id != FIRST.id
    assert isinstance(progress, Proceed)
    assert progress.message.startswith(f"{state}: it was looked at; ")


def test_when_the_last_cure_is_answered_the_rung_is_done_and_says_the_answer() -> None:
    second = request_in(reclaimed(after(FIRST, answer=answer(FIRST, RequestState.FAILED))))

    progress = reclaimed(after(FIRST, second, answer=answer(second, RequestState.SUCCEEDED)))

    assert progress == Finished("Succeeded: it was looked at")


def test_what_came_of_every_cure_is_told_in_the_end() -> None:
    asked = reclaimed(after(FIRST, answer=answer(FIRST, RequestState.SUCCEEDED)))
    second, said = request_in(asked), asked.message
    waiting = after(FIRST, second, answer=answer(second, RequestState.REFUSED))

    progress = reclaimed(replace(waiting, rung=waiting.rung.model_copy(update={"message": said})))

    assert said == f"Succeeded: it was looked at; the agent is asked for {UNMOUNT}"
    assert progress == Finished("Succeeded: it was looked at; Refused: it was looked at")


def test_what_is_sent_again_is_told_once() -> None:
    asked = reclaimed(after(FIRST, answer=answer(FIRST, RequestState.SUCCEEDED)))
    second, said = request_in(asked), asked.message
    lost = after(FIRST, second, answer=answer(FIRST, RequestState.SUCCEEDED))
    lost = replace(lost, asked=FIRST, rung=lost.rung.model_copy(update={"message": said}))

    progress = reclaimed(lost)

    assert request_in(progress).id == second.id
    assert progress.message == said


def test_an_agent_that_does_not_answer_is_given_until_five_minutes_after_the_deadline() -> None:
    at_last = FIRST.deadline + timedelta(minutes=5)

    waiting = reclaimed(after(FIRST, now=at_last))
    over = reclaimed(after(FIRST, now=at_last + timedelta(seconds=1)))

    assert isinstance(waiting, Await)
    assert request_in(over).id != FIRST.id


def test_a_rung_whose_last_cure_is_never_answered_is_done_and_says_so() -> None:
    alone = patient(finding(UNLOAD))
    asked = request_in(reclaimed(alone))
    late = asked.deadline + timedelta(minutes=6)

    progress = reclaimed(after(asked, findings=(finding(UNLOAD),), now=late))

    assert progress == Finished(f"the agent did not answer to {asked.id} in time")


def test_what_was_written_down_but_not_sent_is_sent_under_the_same_id() -> None:
    interrupted = after(FIRST, asked=None, now=NOW + timedelta(hours=1))

    request = request_in(reclaimed(interrupted))

    assert request.id == FIRST.id
    assert request.action == FIRST.action
    assert request.deadline == NOW + timedelta(hours=1, minutes=5)


def test_a_cure_that_is_no_longer_named_is_not_sent_anew() -> None:
    interrupted = after(FIRST, asked=None, findings=(finding(UNMOUNT),))

    request = request_in(reclaimed(interrupted))

    assert request.action.reclaim is not None
    assert request.action.reclaim.fix == UNMOUNT


def test_two_beginnings_of_the_same_rung_never_share_an_id() -> None:
    first, rung = patient(), RungState(action="reclaim", state="Pending")
    second = patient(rung=rung, now=NOW + timedelta(seconds=1))

    assert request_in(reclaimed(first)).id != request_in(reclaimed(second)).id
