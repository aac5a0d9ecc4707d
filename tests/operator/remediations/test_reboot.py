"""A reboot from its window to the new boot, and all that can come in between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_api import registry
from kernelhealth_api.procedure import (
    AskAgent,
    Await,
    Finished,
    GaveUp,
    PatchNode,
    Patient,
    Proceed,
)
from kernelhealth_api.remediation import PREPARED_BY, Remediation, Target
from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec, MaintenanceWindow
from kernelhealth_api.v1alpha1.noderemediation import RungState
from kernelhealth_api.v1alpha1.request import (
    HostAction,
    HostRequest,
    Rebooting,
    RebootMethod,
    RequestState,
    RequestStatus,
)
from kernelhealth_operator import remediations
from kernelhealth_operator.policy.foreign import SCALE_DOWN_DISABLED
from kernelhealth_operator.policy.preparing import NO_LOAD_BALANCER
from kernelhealth_operator.remediations.reboot import REMEDIATION, Reboot

NIGHT = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ID = f"ours-2-{int(NIGHT.timestamp()):x}"
NIGHTLY = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=2))
POLICY = KernelHealthPolicySpec(maintenance_windows=(NIGHTLY,))
PREPARED = {PREPARED_BY: "ours", SCALE_DOWN_DISABLED: "true"}
LABELS = {NO_LOAD_BALANCER: "true"}
KURED = "/apis/apps/v1/namespaces/kube-system/daemonsets/kured"
NOW = Reboot.model_validate({"when": "Now"})
SOON = Reboot.model_validate({"when": "BeforeExhaustion"})


def patient(now: datetime = NIGHT, **changes: Any) -> Patient:
    values: dict[str, Any] = {
        "name": "worker-1",
        "uid": "uid-1",
        "resource_version": "7",
        "owner": "ours",
        "number": 2,
        "rung": RungState(action="reboot", state="Pending"),
        "policy": POLICY,
        "labels": LABELS,
        "annotations": PREPARED,
        "boot_id": "boot-1",
        "boot_at_start": "boot-1",
        "report_boot_id": "boot-1",
    }
    return Patient(now=now, **(values | changes))


def asked(*ids: str, at: datetime = NIGHT, **changes: Any) -> dict[str, Any]:
    """What a patient is like whose agent was asked, the last time at that moment."""
    rung = RungState(action="reboot", state="Running", started_at=at, stepped_at=at, requests=ids)
    request = HostRequest(
        id=ids[-1],
        action=HostAction(reboot=Rebooting()),
        boot_id="boot-1",
        deadline=at + 5 * MINUTE,
    )
    return {"rung": rung, "asked": request} | changes


def advance(one: Patient, settings: Reboot = NOW) -> Any:
    assert REMEDIATION.procedure is not None
    return REMEDIATION.procedure.advance(one, settings)


def request_of(progress: Any) -> HostRequest:
    assert isinstance(progress, Proceed)
    (effect,) = progress.effects
    assert isinstance(effect, AskAgent)
    return effect.request


def answer(state: RequestState, finished: datetime | None = None) -> RequestStatus:
    return RequestStatus(id="ours-2-reboot", state=state, message="so it is", finished_at=finished)


def test_the_registry_finds_it() -> None:
    assert REMEDIATION in registry.load(remediations, "REMEDIATION", Remediation)


# Before it begins.


def test_it_waits_for_the_window() -> None:
    progress = advance(patient(NOON), Reboot())

    opening = NIGHT.replace(day=2, hour=2, minute=0)
    what = "the next maintenance window opens at 2026-01-02 02:00:00Z"
    assert progress == Await("MaintenanceWindow", what, opening)


def test_it_waits_forever_without_a_window_and_says_what_is_to_be_done() -> None:
    progress = advance(patient(policy=KernelHealthPolicySpec()), Reboot())

    assert isinstance(progress, Await)
    assert progress.reason == "NoWindow"
    assert "add one, or change when" in progress.message


def test_in_the_window_the_agent_is_asked_to_begin_within_it() -> None:
    late = NIGHT.replace(hour=3, minute=56)

    request = request_of(advance(patient(late), Reboot()))

    assert request.boot_id == "boot-1"
    assert request.action == HostAction(reboot=Rebooting(method=RebootMethod.CLEAN))
    assert request.deadline == NIGHT.replace(hour=3, minute=59)


def test_in_the_last_minutes_of_a_window_nothing_is_begun() -> None:
    progress = advance(patient(NIGHT.replace(hour=3, minute=58)), Reboot())

    assert isinstance(progress, Await)
    assert progress.retry_at == NIGHT.replace(day=2, hour=2, minute=0)


@pytest.mark.parametrize(
    ("earliest", "begins"),
    [(40, NOON.replace(day=3, hour=2)), (20, NOON.replace(day=2, hour=2)), (3, None)],
)
def test_it_comes_before_the_forecast(earliest: int, begins: datetime | None) -> None:
    leak = Finding(
        reason="NetworkNamespaceLeaked",
        severity=Severity.WARNING,
        message="It leaks.",
        since=NOON,
        exhaustion=NOON + timedelta(days=9),
        exhaustion_earliest=NOON + timedelta(hours=earliest),
    )

    progress = advance(patient(NOON, findings=(leak,)), SOON)

    if begins is None:
        assert request_of(progress).deadline == NOON + 5 * MINUTE
    else:
        assert isinstance(progress, Await)
        assert progress.retry_at == begins


def test_what_evicts_pods_before_it_waits_until_enough_of_a_window_is_left() -> None:
    assert REMEDIATION.procedure is not None
    waits = REMEDIATION.procedure.waits
    assert waits is not None
    late = patient(NIGHT.replace(hour=3, minute=50))

    before, itself = waits(late, Reboot(), True), waits(late, Reboot(), False)

    assert before is not None
    assert before.retry_at == NIGHT.replace(day=2, hour=2, minute=0)
    assert itself is None


def test_the_node_is_marked_before_its_agent_is_asked() -> None:
    progress = advance(patient(labels={}, annotations={}))

    metadata = {
        "resourceVersion": "7",
        "labels": {NO_LOAD_BALANCER: "true"},
        "annotations": {
            SCALE_DOWN_DISABLED: "true",
            PREPARED_BY: f"ours {NO_LOAD_BALANCER} {SCALE_DOWN_DISABLED}",
        },
    }
    assert progress.effects == (PatchNode("worker-1", "7", {"metadata": metadata}),)


def test_what_others_put_on_the_node_stays_theirs() -> None:
    progress = advance(
        patient(labels={NO_LOAD_BALANCER: ""}, annotations={SCALE_DOWN_DISABLED: "false"})
    )

    (patch,) = progress.effects
    assert patch.body["metadata"]["labels"] == {}
    assert patch.body["metadata"]["annotations"] == {PREPARED_BY: "ours"}


def test_it_waits_for_the_lock_of_kured() -> None:
    lock = json.dumps({"nodeID": "worker-9", "created": "2026-01-01T02:00:00Z"})
    body = {"metadata": {"annotations": {"weave.works/kured-node-lock": lock}}}

    progress = advance(patient(read={KURED: body}))

    assert isinstance(progress, Await)
    assert progress.reason == "KuredLock"
    assert "worker-9" in progress.message


def test_the_lock_is_read_right_before_the_agent_is_asked_and_not_while_it_is_awaited() -> None:
    assert REMEDIATION.procedure is not None
    reads = REMEDIATION.procedure.reads
    elsewhere = Reboot.model_validate({"kured": "ops/kured"})
    nobody = Reboot.model_validate({"kured": ""})

    assert reads(patient(), NOW) == (KURED,)
    assert reads(patient(), elsewhere) == ("/apis/apps/v1/namespaces/ops/daemonsets/kured",)
    assert reads(patient(), nobody) == ()
    assert reads(patient(**asked("ours-2-reboot")), NOW) == ()
    assert reads(patient(boot_id="boot-2"), NOW) == ()


def test_a_boot_that_was_not_known_in_the_beginning_is_not_ended() -> None:
    assert isinstance(advance(patient(boot_at_start=None)), GaveUp)


def test_a_node_that_does_not_say_which_boot_it_runs_is_not_rebooted() -> None:
    progress = advance(patient(boot_id=None))

    assert isinstance(progress, Await)
    assert progress.reason == "BootUnknown"


# While it is under way.


def test_the_new_boot_is_awaited() -> None:
    given = asked("ours-2-reboot", answer=answer(RequestState.RUNNING), report_boot_id=None)

    progress = advance(patient(NIGHT + MINUTE, **given))

    assert isinstance(progress, Await)
    assert progress.reason == "BootAwaited"
    assert progress.retry_at == NIGHT + 20 * MINUTE


def test_a_new_boot_on_node_and_in_the_report_is_the_proof() -> None:
    given = asked("ours-2-reboot", boot_id="boot-2", report_boot_id="boot-2")

    progress = advance(patient(NIGHT + 2 * MINUTE, **given))

    assert progress == Finished("it was rebooted: boot boot-1 is over, it runs boot-2")


@pytest.mark.parametrize(
    ("boot_id", "report"), [("boot-2", None), ("boot-2", "boot-1"), ("boot-1", "boot-2")]
)
def test_one_of_both_is_no_proof(boot_id: str, report: str | None) -> None:
    refused = answer(RequestState.REFUSED, NIGHT)
    given = asked("ours-2-reboot", boot_id=boot_id, report_boot_id=report, answer=refused)

    progress = advance(patient(NIGHT + 2 * MINUTE, **given))

    assert isinstance(progress, Await)
    assert progress.reason == "BootAwaited"


def test_a_node_that_comes_back_only_half_is_given_up_in_the_end() -> None:
    given = asked("ours-2-reboot", boot_id="boot-2", report_boot_id=None)

    progress = advance(patient(NIGHT + 35 * MINUTE, **given))

    assert progress == GaveUp("the node was rebooted, but is not back after 15m")


def test_a_node_that_somebody_else_rebooted_is_not_rebooted_again() -> None:
    progress = advance(patient(boot_id="boot-2", report_boot_id="boot-2"))

    assert progress == Finished("it was rebooted by somebody else: it runs boot boot-2 by now")


def test_what_was_written_but_not_sent_is_sent_under_the_same_id() -> None:
    given = asked("ours-2-reboot") | {"asked": None}

    request = request_of(advance(patient(NIGHT + MINUTE, **given)))

    assert request.id == "ours-2-reboot"


def test_what_was_not_sent_in_its_window_waits_for_the_next() -> None:
    given = asked("ours-2-reboot") | {"asked": None}

    progress = advance(patient(NOON, **given), Reboot())

    assert isinstance(progress, Await)
    assert progress.reason == "MaintenanceWindow"


def test_a_boot_that_does_not_come_is_given_up() -> None:
    progress = advance(patient(NIGHT + 20 * MINUTE, **asked("ours-2-reboot")))

    assert progress == GaveUp(
        "the node runs the same boot 15m after it was to have begun to reboot"
    )


def test_a_policy_that_says_so_forces_it_then() -> None:
    settings = NOW.model_copy(update={"escalate": True})

    request = request_of(advance(patient(NIGHT + 20 * MINUTE, **asked("ours-2-reboot")), settings))

    assert request.id == f"{ID}-reboot-2-forced"
    assert request.action == HostAction(reboot=Rebooting(method=RebootMethod.FORCED))


def test_what_was_forced_in_vain_is_given_up() -> None:
    settings = NOW.model_copy(update={"escalate": True})
    given = asked("ours-2-reboot", "ours-2-reboot-2-forced")

    assert isinstance(advance(patient(NIGHT + 20 * MINUTE, **given), settings), GaveUp)


def test_force_keeps_to_the_window_as_well() -> None:
    settings = Reboot.model_validate({"escalate": True})

    progress = advance(patient(NOON, **asked("ours-2-reboot")), settings)

    assert isinstance(progress, Await)
    assert progress.reason == "MaintenanceWindow"


@pytest.mark.parametrize("state", [RequestState.REFUSED, RequestState.FAILED])
def test_an_agent_that_says_no_is_not_asked_again(state: RequestState) -> None:
    given = asked("ours-2-reboot", answer=answer(state, NIGHT + MINUTE))

    progress = advance(patient(NIGHT + 2 * MINUTE, **given))

    assert progress == GaveUp(f"the agent says {state}: so it is")


def test_an_agent_that_was_too_late_is_asked_again() -> None:
    late = answer(RequestState.REFUSED, NIGHT + 6 * MINUTE)

    request = request_of(
        advance(patient(NIGHT + 7 * MINUTE, **asked("ours-2-reboot", answer=late)))
    )

    assert request.id == f"{ID}-reboot-2"
    assert request.deadline == NIGHT + 12 * MINUTE


def test_an_agent_that_is_always_too_late_is_given_up() -> None:
    late = answer(RequestState.REFUSED, NIGHT + 6 * MINUTE)
    given = asked("a", "b", "ours-2-reboot", answer=late)

    assert isinstance(advance(patient(NIGHT + 7 * MINUTE, **given)), GaveUp)


def test_an_answer_to_an_earlier_request_is_none() -> None:
    given = asked("ours-2-reboot-2", answer=answer(RequestState.REFUSED, NIGHT))

    assert isinstance(advance(patient(NIGHT + MINUTE, **given)), Await)


def test_it_goes_on_while_the_node_is_mute() -> None:
    assert REMEDIATION.procedure is not None
    assert REMEDIATION.procedure.endures
    assert REMEDIATION.procedure.heals


# When it is over.


def target(annotation: str, **changes: Any) -> Target:
    annotations = {PREPARED_BY: annotation, SCALE_DOWN_DISABLED: "true"}
    values = {"labels": LABELS, "annotations": annotations} | changes
    return replace(Target("worker-1", "8", unschedulable=False, owner=None), **values)


def test_only_what_was_put_on_the_node_is_taken_off() -> None:
    ours = target(f"ours {SCALE_DOWN_DISABLED}")

    (patch,) = REMEDIATION.revert(ours, "ours")
    assert isinstance(patch, PatchNode)

    metadata = {
        "resourceVersion": "8",
        "labels": {},
        "annotations": {SCALE_DOWN_DISABLED: None, PREPARED_BY: None},
    }
    assert patch == PatchNode("worker-1", "8", {"metadata": metadata})


def test_the_annotation_takes_off_nothing_else() -> None:
    ours = target("ours kubernetes.io/hostname example.com/precious")

    (patch,) = REMEDIATION.revert(ours, "ours")
    assert isinstance(patch, PatchNode)

    assert patch.body["metadata"]["labels"] == {}
    assert patch.body["metadata"]["annotations"] == {PREPARED_BY: None}


def test_the_marks_of_another_treatment_stay() -> None:
    assert list(REMEDIATION.revert(target("theirs"), "ours")) == []
    assert not REMEDIATION.applied(target("theirs"), "ours")
    assert REMEDIATION.applied(target("ours"), "ours")


MOMENTS = st.integers(0, 14 * 24 * 60).map(lambda minutes: NOON + minutes * MINUTE)
IDS = st.lists(st.sampled_from(["ours-2-reboot", "b", "c-forced"]), max_size=3, unique=True)
BOOTS = st.sampled_from([None, "boot-1", "boot-2"])
ANSWERS = st.none() | st.builds(
    RequestStatus,
    id=st.sampled_from(["ours-2-reboot", "b", "c-forced"]),
    state=st.sampled_from(RequestState),
    finished_at=st.none() | MOMENTS,
)


@given(MOMENTS, MOMENTS, IDS, st.booleans(), BOOTS, BOOTS, ANSWERS, st.booleans())
def test_whatever_happens_it_is_asked_for_in_the_window_and_for_the_first_boot_only(  # noqa: PLR0917
    now: datetime,
    stepped: datetime,
    ids: list[str],
    sent: bool,  # noqa: FBT001
    boot_id: str | None,
    report: str | None,
    said: RequestStatus | None,
    escalate: bool,  # noqa: FBT001
) -> None:
    given = asked(*ids, at=stepped) if ids else {}
    given |= {"boot_id": boot_id, "report_boot_id": report, "answer": said}
    given |= {} if sent else {"asked": None}

    progress = advance(patient(now, **given), Reboot.model_validate({"escalate": escalate}))

    if isinstance(progress, Proceed):
        request = request_of(progress)
        assert 2 <= now.hour < 4
        assert now < request.deadline < now.replace(hour=4, minute=0)
        assert request.boot_id == boot_id == "boot-1"
        assert report != "boot-2"
        assert len(ids) < 16
