from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.entries import Beginning, Line
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.hands import DryHands, LiveHands, RefusingHands
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.surgeon import Surgeon
from kernelhealth_api.cures import Stage
from kernelhealth_api.v1alpha1.request import (
    Fixing,
    HostAction,
    HostRequest,
    Rebooting,
    RequestState,
    RequestStatus,
)
from kernelhealth_e2e.treatment.ward import BOOT, CURE, LEAKED, Ward, observation, request, seen


class Clinic(Protocol):
    ward: Ward
    said: list[RequestStatus]
    looked_again: int

    def open(self, hands: Any = None, **parts: Any) -> None: ...
    def close(self) -> None: ...
    def finds(self, *confirmed: Any) -> None: ...
    def asks(self, request: HostRequest | dict[str, Any] | None) -> None: ...
    def until(self, true: Any) -> RequestStatus: ...
    def answer(self, request_id: str) -> RequestStatus: ...


ID = "nr-1-2-unmount"
HANGS = 2.0
"""After so many seconds a call is given up; what does not hang is done by then, also under load."""


def test_a_request_is_done_to_everything_that_the_agent_has_confirmed(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a", "b"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.SUCCEEDED
    assert said.message == "UnmountNamespace: 2 done (a; b)"
    assert said.finished_at is not None
    assert [clinic.ward.lines(key) for key in ("a", "b")] == [["1", "2"], ["1", "2"]]


def test_it_says_that_it_is_at_work_and_asks_for_a_round_afterwards(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))

    clinic.asks(request())

    clinic.answer(ID)
    clinic.close()
    assert [said.state for said in clinic.said] == [RequestState.RUNNING, RequestState.SUCCEEDED]
    assert clinic.looked_again == 1


def test_a_request_waits_for_the_first_look_at_the_node(clinic: Clinic) -> None:
    clinic.open()
    clinic.asks(request())
    waiting = clinic.until(lambda said: said.state is RequestState.ACCEPTED)

    clinic.finds(*seen("a"))

    assert "first look" in waiting.message
    assert clinic.answer(ID).state is RequestState.SUCCEEDED


def test_the_same_request_again_and_a_changed_deadline_do_nothing_more(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())
    clinic.answer(ID)

    clinic.asks(request(deadline=datetime.now(UTC) + timedelta(minutes=9)))
    clinic.asks(request("nr-1-3", action=HostAction(reclaim=Fixing(fix="X", reasons=("Y",)))))
    clinic.answer("nr-1-3")
    clinic.asks(request())
    clinic.until(lambda said: said.id == ID and said is clinic.said[-1])

    assert clinic.ward.lines("a") == ["1", "2"]
    assert clinic.said[-1].state is RequestState.SUCCEEDED


def test_a_restarted_agent_repeats_what_it_said_and_does_nothing(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())
    first = clinic.answer(ID)

    clinic.said.clear()
    clinic.open()
    repeated = clinic.answer(ID)
    clinic.finds(*seen("a"))
    clinic.asks(request())
    clinic.until(lambda _: len(clinic.said) > 1)

    assert repeated == first
    assert clinic.said[-1] == first
    assert clinic.ward.lines("a") == ["1", "2"]


LATE = {"deadline": datetime(2026, 1, 1, tzinfo=UTC)}
FIXING = Fixing(fix=CURE, reasons=(LEAKED.name,))
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "another boot": ({"boot_id": "earlier"}, "the node has booted since"),
    "too late": (LATE, "ago at the latest, by this node's clock"),
    "no cure of the catalogue": (
        {"action": HostAction(reclaim=Fixing(fix="RunProgram", reasons=("X",)))},
        "RunProgram is not in the catalogue of cures",
    ),
    "a cure of another kind": (
        {"action": HostAction(fix_config=FIXING)}, "is a cure of the kind reclaim, and not fixConf",
    ),
    "a cure that this agent does not have": (
        {"action": HostAction(reclaim=Fixing(fix="RebindDevice", reasons=("X",)))},
        "This version of the agent cannot do RebindDevice",
    ),
    "two actions": (
        {"action": HostAction(reclaim=FIXING, reboot=Rebooting())}, "2 actions instead of one",
    ),
    "no action": ({"action": HostAction()}, "0 actions instead of one"),
    "other reasons": (
        {"action": HostAction(reclaim=Fixing(fix=CURE, reasons=("ResidualPodLink",)))},
        "Nothing that this agent has confirmed as ResidualPodLink names UnmountNamespace",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.replace(" ", "-"))
def test_a_request_is_refused_with_a_sentence(clinic: Clinic, case: str) -> None:
    parts, words = REFUSALS[case]
    clinic.open()
    clinic.finds(*seen("a"))

    clinic.asks(request(**parts))

    said = clinic.answer(ID)
    assert said.state is RequestState.REFUSED
    assert words in said.message
    assert clinic.ward.lines("a") == []


def test_what_was_refused_once_is_not_done_later(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds()
    clinic.asks(request())
    assert clinic.answer(ID).state is RequestState.REFUSED

    clinic.said.clear()
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())

    assert clinic.answer(ID).state is RequestState.REFUSED
    assert clinic.ward.lines("a") == []


def test_findings_that_do_not_name_the_cure_are_no_grounds_for_it(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a", cures=("Reboot",)))

    clinic.asks(request())

    assert clinic.answer(ID).state is RequestState.REFUSED


def test_an_agent_that_does_not_know_its_boot_does_nothing(clinic: Clinic) -> None:
    clinic.open(boot_id=None)
    clinic.finds(*seen("a"))

    clinic.asks(request())

    assert "cannot read which boot" in clinic.answer(ID).message
    assert clinic.ward.lines("a") == []


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        ({"id": ID}, "Spec.request.action cannot be understood: Field required"),
        ({"id": ID, "action": {"reclaim": {"fix": "rm -rf /", "reasons": ["X"]}}}, "reclaim.fix"),
    ],
    ids=["half", "a command"],
)
def test_a_request_that_makes_no_sense_is_refused(
    clinic: Clinic, wire: dict[str, Any], words: str
) -> None:
    clinic.open()
    clinic.finds(*seen("a"))

    clinic.asks(wire)

    said = clinic.answer(ID)
    assert said.state is RequestState.REFUSED
    assert words in said.message


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ({}, "?"),
        ({"id": "../../etc/x"}, "../../etc/x"),
        ({"id": 7}, "?"),
        ({"id": "A"}, "A"),
        ({"id": ""}, "?"),
        ({"id": "a" * 300}, "a" * 252 + "…"),
        (["id-1"], "?"),
    ],
)
def test_a_request_without_a_proper_id_is_refused_and_leaves_no_file(
    clinic: Clinic, wire: Any, shown: str
) -> None:
    clinic.open()

    clinic.asks(wire)

    said = clinic.answer(shown)
    assert said.state is RequestState.REFUSED
    assert "pec.request" in said.message
    assert "cannot be understood" in said.message
    assert said.finished_at is not None
    assert not (clinic.ward.directory / "requests").exists()


def test_each_nameless_request_is_answered_once(clinic: Clinic) -> None:
    clinic.open()

    for wire in ({"id": 7}, {"id": 7}, {"id": 7, "more": 1}):
        clinic.asks(wire)
        clinic.answer("?")
    clinic.asks([])  # type: ignore[arg-type]
    clinic.until(lambda said: "no mapping" in said.message)
    clinic.asks(request("next", boot_id="earlier"))
    clinic.answer("next")

    assert [said.id for said in clinic.said] == ["?", "?", "next"]


NONSENSE = {"id": ID, "action": {"reclaim": {"fix": "rm -rf /", "reasons": ["X"]}}}


def test_what_makes_no_sense_is_on_record_and_stays_refused(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(NONSENSE)
    first = clinic.answer(ID)

    clinic.said.clear()
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())

    assert clinic.answer(ID) == first
    assert clinic.ward.lines("a") == []
    entry = Journal(clinic.ward.directory / "requests").entry(ID)
    assert entry is not None
    assert entry.ended == first


def test_nonsense_under_the_id_of_what_was_done_does_not_change_its_answer(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())
    first = clinic.answer(ID)

    clinic.asks(NONSENSE)
    clinic.until(lambda said: said is not first and said == first)

    assert clinic.said[-1] == first
    assert clinic.ward.lines("a") == ["1", "2"]


def interrupted(clinic: Clinic, *done: str) -> None:
    """Leave what an agent leaves that is killed after the deeds to some of two aims."""
    aims = tuple(Aim(key, key, observation(key)) for key in ("a", "b"))
    journal = Journal(clinic.ward.directory / "requests")
    journal.begin(Beginning(request=request(), at=moments.now(), aims=aims))
    journal.note(ID, Line(doing="scratch b 1"))
    for key in done:
        (clinic.ward.directory / f"done-{key}").write_text("1\n2\n")


def test_whether_an_interrupted_request_was_achieved_is_given_up_in_time(clinic: Clinic) -> None:
    fix, hung = clinic.ward.fix(), threading.Event()

    def hang(*_: object) -> bool:
        return hung.wait(60)

    interrupted(clinic, "a", "b")
    hanging = type(fix)(CURE, fix.stage, fix.aims, fix.objection, fix.deeds, hang)
    clinic.open(fixes={CURE: hanging}, deadline=HANGS)
    try:
        said = clinic.answer(ID)
        clinic.asks(request("next", boot_id="earlier"))
        after = clinic.answer("next")
    finally:
        hung.set()

    assert said.state is RequestState.FAILED
    assert "did not answer within 2 s" in said.message
    assert after.state is RequestState.REFUSED
    assert clinic.ward.practice().recorded(request()) == said


def test_what_an_interrupted_request_achieved_is_told_after_the_next_reboot(
    clinic: Clinic,
) -> None:
    fix = clinic.ward.fix()
    lasting = type(fix)(CURE, fix.stage, fix.aims, fix.objection, fix.deeds, fix.achieved,
                        survives=True)  # fmt: skip
    host = clinic.ward.directory / "host"
    interrupted(clinic, "a")
    clinic.open(LiveHands("/", str(host / "kept")), fixes={CURE: lasting}, kept="kept")
    clinic.answer(ID)
    clinic.close()

    later = clinic.ward.practice(fixes={CURE: lasting}, kept="kept", boot_id="later").survivors()

    assert later == (f"{CURE} of a survived the reboot: request={ID}",)


def test_what_must_not_be_done_now_is_left_alone_and_named(clinic: Clinic) -> None:
    clinic.ward.against = {"b": "a pod runs in it again"}
    clinic.open()
    clinic.finds(*seen("a", "b"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.SUCCEEDED
    assert said.message.endswith("1 done (a); 1 left alone (b: a pod runs in it again)")
    assert clinic.ward.lines("b") == []


def test_where_everything_is_left_alone_it_is_a_refusal(clinic: Clinic) -> None:
    clinic.ward.against = {"a": "a pod runs in it again"}
    clinic.open()
    clinic.finds(*seen("a"))

    clinic.asks(request())

    assert clinic.answer(ID).state is RequestState.REFUSED


def test_what_did_not_help_has_failed_and_is_taken_back(clinic: Clinic) -> None:
    clinic.ward.broken, clinic.ward.undo = frozenset({"a"}), True
    clinic.open()
    clinic.finds(*seen("a", "b"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.FAILED
    assert "1 done (b); 1 failed (a: it was done, and" in said.message
    assert "it was taken back" in said.message
    assert clinic.ward.lines("undo-a") == ["1"]
    assert clinic.ward.lines("undo-b") == []


def test_a_deed_that_fails_stops_its_aim_and_no_other(clinic: Clinic) -> None:
    clinic.ward.directory.joinpath("done-a").mkdir()
    clinic.ward.broken = frozenset({"a"})
    clinic.open()
    clinic.finds(*seen("a", "b"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.FAILED
    assert "Is a directory" in said.message
    assert clinic.ward.lines("b") == ["1", "2"]


def test_what_survives_a_reboot_says_so(clinic: Clinic) -> None:
    clinic.ward.stage = Stage.FIX_CONFIG
    fix = clinic.ward.fix()
    name = "BlockRpcGssModule"
    own = type(fix)(name, Stage.FIX_CONFIG, fix.aims, fix.objection, fix.deeds, fix.achieved,
                    survives=True)  # fmt: skip
    clinic.open(fixes={name: own})
    clinic.finds(*seen("a", cures=(name,)))

    clinic.asks(request(action=HostAction(fix_config=Fixing(fix=name, reasons=(LEAKED.name,)))))

    assert clinic.answer(ID).message.endswith("it stays so after a reboot")


@pytest.mark.parametrize(
    ("stays", "words"), [(True, "survived the reboot"), (False, "did not survive the reboot")]
)
def test_a_lasting_fix_says_after_a_reboot_whether_it_survived(
    clinic: Clinic,
    stays: bool,  # noqa: FBT001
    words: str,
) -> None:
    fix = clinic.ward.fix()
    lasting = type(fix)(CURE, fix.stage, fix.aims, fix.objection, fix.deeds, fix.achieved,
                        survives=True)  # fmt: skip
    host = clinic.ward.directory / "host"
    clinic.open(LiveHands("/", str(host / "kept")), fixes={CURE: lasting}, kept="kept")
    clinic.finds(*seen("a"))
    clinic.asks(request())
    clinic.answer(ID)
    clinic.close()

    if not stays:
        (clinic.ward.directory / "done-a").unlink()
    same = clinic.ward.practice(fixes={CURE: lasting}, kept="kept").survivors()
    later = clinic.ward.practice(fixes={CURE: lasting}, kept="kept", boot_id="later").survivors()

    assert same == ()
    assert later == (f"{CURE} of a {words}: request={ID}",)


def test_a_fix_that_hangs_is_given_up_and_the_next_request_waits_for_it(clinic: Clinic) -> None:
    going_on = threading.Event()
    clinic.ward.hang = going_on.wait
    clinic.open(deadline=HANGS)
    clinic.finds(*seen("a", "b"))
    try:
        clinic.asks(request())
        given_up = clinic.answer(ID)
        clinic.asks(request("next"))
        waiting = clinic.until(lambda said: said.id == "next")
    finally:
        going_on.set()
    last = clinic.answer("next")

    assert given_up.state is RequestState.FAILED
    assert "did not come back within 2 s, while scratch a 1" in given_up.message
    assert waiting.state is RequestState.ACCEPTED
    assert "it waits for" in waiting.message.lower()
    assert last.state is RequestState.SUCCEEDED
    # The deed that hung came back; nothing else of that request was begun after it was given up.
    assert clinic.ward.lines("a") == ["1", "1", "2"]
    assert clinic.ward.lines("b") == ["1", "2"]


def test_a_request_that_is_withdrawn_while_it_waits_is_not_done(clinic: Clinic) -> None:
    clinic.open()
    clinic.asks(request())
    clinic.until(lambda said: said.state is RequestState.ACCEPTED)

    clinic.asks(None)
    clinic.finds(*seen("a"))
    clinic.asks(request("next", boot_id="earlier"))
    clinic.answer("next")

    assert clinic.ward.lines("a") == []
    assert not (clinic.ward.directory / "requests" / ID).exists()


def test_a_request_that_is_withdrawn_under_way_begins_nothing_more(clinic: Clinic) -> None:
    begun, going_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        going_on.wait()

    clinic.ward.hang = hang
    clinic.open()
    clinic.finds(*seen("a", "b"))
    clinic.asks(request())
    assert begun.wait(60)
    clinic.asks(None)
    going_on.set()

    said = clinic.answer(ID)

    assert said.state is RequestState.FAILED
    assert "it was stopped" in said.message
    assert clinic.ward.lines("a") == ["1"]
    assert clinic.ward.lines("b") == []


def test_two_programs_never_treat_one_host_at_once(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    with Journal(clinic.ward.directory / "requests").held():
        clinic.asks(request())
        waiting = clinic.until(lambda said: said.state is RequestState.ACCEPTED)
        assert clinic.ward.lines("a") == []

    assert clinic.answer(ID).state is RequestState.SUCCEEDED
    assert "nother process on this host" in waiting.message


def test_a_second_agent_waits_for_what_the_first_is_still_at(clinic: Clinic) -> None:
    begun, going_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        going_on.wait()

    clinic.ward.hang = hang
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())
    assert begun.wait(60)
    heard: list[RequestStatus] = []
    changed = threading.Condition()

    def hear(answer: RequestStatus) -> None:
        with changed:
            heard.append(answer)
            changed.notify_all()

    second = Surgeon(clinic.ward.practice(), hear)
    second.start(lambda: None)
    try:
        second.adopt({"request": request().model_dump(mode="json", by_alias=True)})
        with changed:
            assert changed.wait_for(lambda: heard, 60)
        going_on.set()
        first = clinic.answer(ID)
        with changed:
            assert changed.wait_for(lambda: heard[-1].state.final, 60)
    finally:
        going_on.set()
        second.close(60)

    assert {said.state for said in heard[:-1]} == {RequestState.ACCEPTED}
    assert "another process on this host" in heard[0].message.lower()
    assert heard[-1] == first
    assert first.state is RequestState.SUCCEEDED
    assert clinic.ward.lines("a") == ["1", "2"]


def test_hands_that_refuse_leave_alone_what_is_the_whole_hosts(clinic: Clinic) -> None:
    clinic.ward.host_wide = True
    clinic.open(RefusingHands(LiveHands("/", str(clinic.ward.directory / "kept"))))
    clinic.finds(*seen("a"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.REFUSED
    assert "KERNELHEALTH_HANDS=refuse-host-wide" in said.message
    assert clinic.ward.lines("a") == []


def test_dry_hands_tell_what_they_would_do(clinic: Clinic) -> None:
    dry = DryHands()
    clinic.open(dry)
    clinic.finds(*seen("a"))

    clinic.asks(request())

    assert clinic.answer(ID).state is RequestState.FAILED
    assert dry.told == ["scratch a 1", "scratch a 2"]
    assert clinic.ward.lines("a") == []


def test_an_aim_that_cannot_be_looked_at_is_left_alone(clinic: Clinic) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("nobody thought of that")

    fix = clinic.ward.fix()
    clinic.open(fixes={CURE: type(fix)(CURE, fix.stage, fix.aims, broken, fix.deeds, fix.achieved)})
    clinic.finds(*seen("a"))

    clinic.asks(request())

    said = clinic.answer(ID)
    assert said.state is RequestState.REFUSED
    assert "a defect of the fix, please report it: RuntimeError" in said.message
    assert clinic.ward.lines("a") == []


def test_the_journal_keeps_what_was_seen_word_for_word(clinic: Clinic) -> None:
    clinic.open()
    clinic.finds(*seen("a"))
    clinic.asks(request())
    clinic.answer(ID)

    entry = Journal(clinic.ward.directory / "requests").entry(ID)

    assert entry is not None
    assert entry.begun is not None
    assert [aim.observation for aim in entry.begun.aims] == [observation("a")]
    assert entry.begun.request.boot_id == BOOT
    assert entry.doing == entry.did == ("scratch a 1", "scratch a 2")
