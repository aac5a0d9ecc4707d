"""What disturbs nobody yet because of what comes after it."""

from __future__ import annotations

from typing import Any

import pytest

from kernelhealth_api.v1alpha1.kernelhealthpolicy import MaintenanceWindow, Mode
from kernelhealth_api.v1alpha1.noderemediation import Phase, RungState
from kernelhealth_operator.policy.decide import decide
from kernelhealth_operator.policy.decision import Decision
from kernelhealth_operator.policy.situation import Tally

NIGHTLY = MaintenanceWindow.model_validate({"schedule": "0 2 * * *", "duration": "2h"})
LADDER: tuple[dict[str, Any], ...] = ({"cordon": {}}, {"drain": {}}, {"reboot": {}})
OPENS = "MaintenanceWindow: the next maintenance window opens at 2026-01-02 02:00:00Z"


def decided(build: Any, *states: str, hour: int = 12, **changes: Any) -> Decision:
    plan = changes.pop("plan", LADDER)
    names = [name for step in plan for name in step]
    rungs = tuple(
        RungState(action=name, state=state, started_at=None if state == "Pending" else build.now)
        for name, state in zip(names, states, strict=True)
    )
    phase = Phase.RUNNING if "Done" in states else Phase.WAITING
    treatment = build.treatment(phase, plan=plan, rungs=rungs, boot_id="boot-1")
    node = build.node(
        unschedulable=states[0] == "Done" and names[0] == "cordon",
        cordon_owner=treatment.name if states[0] == "Done" and names[0] == "cordon" else None,
        boot_id="boot-1",
    )
    values = {
        "now": build.now.replace(hour=hour),
        "node": node,
        "report": build.report(build.finding(), boot_id="boot-1"),
        "policy": build.policy(build.rule(actions=plan), maintenance_windows=(NIGHTLY,)),
        "treatment": treatment,
    }
    return decide(build.situation(**(values | changes)), build.remediations)


def test_a_sick_node_is_cordoned_before_the_window(build: Any) -> None:
    decision = decided(build, "Pending", "Pending", "Pending")

    assert decision.waiting_for is None
    assert any(type(step).__name__ == "ChangeNode" for step in decision.steps)


def test_it_is_not_drained_before_the_window(build: Any) -> None:
    decision = decided(build, "Done", "Pending", "Pending")

    assert decision.waiting_for == OPENS
    assert decision.due == build.now.replace(day=2, hour=2)


def test_it_is_drained_in_the_window(build: Any) -> None:
    decision = decided(build, "Done", "Pending", "Pending", hour=2)

    assert decision.waiting_for is None
    assert decision.reads


def test_a_drain_with_no_reboot_after_it_waits_for_nothing(build: Any) -> None:
    decision = decided(build, "Done", "Pending", plan=({"cordon": {}}, {"drain": {}}))

    assert decision.waiting_for is None
    assert decision.reads


def test_a_drain_that_has_begun_goes_on_after_the_window(build: Any) -> None:
    decision = decided(build, "Done", "Running", "Pending")

    assert decision.waiting_for is None
    assert decision.reads


def test_the_window_is_told_before_the_lack_of_room(build: Any) -> None:
    full = Tally(nodes=9, unavailable=9)

    decision = decided(build, "Pending", plan=({"reboot": {}},), others=full)

    assert decision.waiting_for == OPENS


def test_who_waits_for_room_in_a_window_looks_again_when_it_closes(build: Any) -> None:
    full = Tally(nodes=9, unavailable=9)

    decision = decided(build, "Pending", plan=({"reboot": {}},), others=full, hour=3)

    assert str(decision.waiting_for).startswith("MaxUnavailable: ")
    assert decision.due == build.now.replace(hour=4)


def test_a_person_is_asked_before_the_window(build: Any) -> None:
    policy = build.policy(
        build.rule(actions=({"reboot": {}},)), mode=Mode.PROPOSE, maintenance_windows=(NIGHTLY,)
    )

    decision = decided(build, "Pending", plan=({"reboot": {}},), policy=policy)

    assert str(decision.waiting_for).startswith("Approval: ")


@pytest.mark.parametrize("hour", [2, 12])
def test_a_node_that_somebody_else_cordoned_is_not_emptied(build: Any, hour: int) -> None:
    plan: tuple[dict[str, Any], ...] = ({"drain": {}},)
    node = build.node(unschedulable=True, boot_id="boot-1")

    decision = decided(build, "Pending", plan=plan, node=node, hour=hour)

    assert str(decision.waiting_for).startswith("ForeignCordon: ")


def test_parameters_that_are_refused_are_named_before_anything_is_drained(build: Any) -> None:
    plan: tuple[dict[str, Any], ...] = ({"drain": {}}, {"reboot": {"when": "Sometime"}})

    decision = decided(build, "Pending", "Pending", plan=plan)

    assert str(decision.waiting_for).startswith("UnknownAction: the parameters of reboot")
