"""One node's part in the counts."""

from __future__ import annotations

from typing import Any

import pytest

from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_operator.policy import tally
from kernelhealth_operator.policy.situation import Tally


def test_a_healthy_node_is_sound(build: Any) -> None:
    share = tally.share(build.node(), build.report(), None)

    assert share == Tally(nodes=1, sound=1, healthy=1)


def test_a_warned_node_is_still_sound(build: Any) -> None:
    share = tally.share(build.node(), build.report(health=Health.WARNING), None)

    assert share == Tally(nodes=1, sound=1, warning=1)


@pytest.mark.parametrize("changes", [{"unschedulable": True}, {"ready": False}, {"deleting": True}])
def test_a_node_that_takes_no_pods_is_unavailable(build: Any, changes: dict[str, bool]) -> None:
    share = tally.share(build.node(**changes), build.report(), None)

    assert share == Tally(nodes=1, unavailable=1, healthy=1)


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "never heard"])
def test_a_node_that_nobody_reports_on_is_not_sound(build: Any, silent: bool) -> None:  # noqa: FBT001
    report = build.report(silent=True) if silent else None

    assert tally.share(build.node(), report, None) == Tally(nodes=1, unknown=1)


def test_a_treatment_takes_its_room_before_the_cordon_is_seen(build: Any) -> None:
    report = build.report(build.finding())

    waiting = tally.share(build.node(), report, build.treatment(Phase.WAITING))
    running = tally.share(build.node(), report, build.treatment(Phase.RUNNING))

    assert waiting == Tally(nodes=1, critical=1, pending=1)
    assert running == Tally(nodes=1, critical=1, unavailable=1, in_progress=1)


def test_what_was_added_can_be_taken_out_again(build: Any) -> None:
    one = tally.share(build.node(), build.report(), None)
    two = tally.share(build.node(ready=False), None, None)

    total = tally.add(one, two)

    assert total == Tally(nodes=2, sound=1, unavailable=1, healthy=1, unknown=1)
    assert tally.subtract(total, two) == one
