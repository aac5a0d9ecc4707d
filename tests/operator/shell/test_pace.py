"""How long reboots took, and what a policy says of those to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    KernelHealthPolicySpec,
    MaintenanceWindow,
    Match,
    Recovery,
    Rule,
)
from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
    RungState,
)
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_operator import outlook, standings
from kernelhealth_operator.pace import Pace
from kernelhealth_operator.policy.backlog import Outlook
from kernelhealth_operator.policy.situation import Policy, Tally, Treatment

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NIGHTLY = MaintenanceWindow(schedule="0 2 * * *", duration=timedelta(hours=2))


def reboot(name: str, minutes: int, state: str = "Done", **changes: Any) -> Treatment:
    """A treatment that cordoned the node a day ago and ended with its reboot at noon."""
    begun = NOON - minutes * MINUTE
    rungs = (
        RungState(action="cordon", state="Reverted", started_at=NOON - timedelta(days=1)),
        RungState(action="drain", state="Done", started_at=begun),
        RungState(action="reboot", state=state, started_at=begun + MINUTE),
    )
    spec = NodeRemediationSpec(
        node_name="alpha",
        node_uid="uid",
        policy="workers",
        rule="leaks",
        reasons=("NetworkNamespaceLeaked",),
        plan=({"cordon": {}}, {"drain": {}}, {"reboot": {}}),
    )
    values = {"phase": Phase.SUCCEEDED, "finished_at": NOON, "rungs": rungs}
    return Treatment(name, "1", NOON, spec, NodeRemediationStatus(**(values | changes)))


def policy(**changes: Any) -> Policy:
    rule = Rule(
        name="leaks",
        match=Match(reasons=("NetworkNamespaceLeaked",)),
        actions=({"reboot": {"expected": "20m"}},),
    )
    values: dict[str, Any] = {
        "rules": (rule,),
        "maintenance_windows": (NIGHTLY,),
        "recovery": Recovery(healthy_delay=10 * MINUTE),
    }
    return Policy("workers", NOON, 1, KernelHealthPolicySpec(**(values | changes)))


def test_the_time_from_the_drain_to_the_end_is_typical() -> None:
    pace = Pace()
    for name, minutes in (("a", 10), ("b", 30), ("c", 300)):
        pace.note(reboot(name, minutes))

    assert pace.typical("workers") == 30 * MINUTE
    assert pace.typical("others") is None


def test_what_is_noted_twice_counts_once() -> None:
    pace = Pace()
    for name, minutes in (("a", 10), ("b", 30), ("c", 300), ("c", 300), ("c", 300)):
        pace.note(reboot(name, minutes))

    assert pace.typical("workers") == 30 * MINUTE


def test_what_was_no_reboot_counts_nothing() -> None:
    pace = Pace()

    pace.note(reboot("failed", 10, state="Failed"))
    pace.note(reboot("open", 10, phase=Phase.VERIFYING, finished_at=None))

    assert pace.typical("workers") is None


def test_of_many_only_the_newest_are_kept() -> None:
    pace = Pace()
    for number in range(40):
        pace.note(reboot(f"old-{number}", 300, finished_at=NOON - timedelta(days=1)))
    for number in range(32):
        pace.note(reboot(f"new-{number}", 10))

    assert pace.typical("workers") == 10 * MINUTE


def test_without_experience_the_policy_is_believed() -> None:
    found = outlook.of(policy(), Tally(nodes=10, reboots=4), None, NOON)

    # 20 minutes and 10 to stay healthy: one at a time from two o'clock on.
    assert found == Outlook(NOON.replace(day=2, hour=4), fits=4)


def test_experience_counts_more_than_expectation() -> None:
    found = outlook.of(policy(), Tally(nodes=10, reboots=4), 40 * MINUTE, NOON)

    assert found.through == NOON.replace(day=3, hour=2, minute=45)
    assert found.too_short.startswith("4 reboots wait, 1 at once for 40m each, but only 3 fit")


def test_a_paused_policy_foresees_nothing() -> None:
    paused = policy(pause_requests=("ann: racks",))

    assert outlook.of(paused, Tally(nodes=10, reboots=4), None, NOON) == Outlook()


def test_the_status_tells_how_many_wait_until_when_and_why_that_is_too_long() -> None:
    tally = Tally(nodes=10, reboots=5)
    beside = standings.Beside(outlook=outlook.of(policy(), tally, None, NOON))

    status = standings.status(policy(), tally, KernelHealthPolicyStatus(), NOON, beside)

    short = next(one for one in status.conditions if one.type == "WindowTooShort")
    assert status.reboots_waiting == 5
    assert status.expected_through == NOON.replace(day=3, hour=2, minute=30)
    assert (short.status, short.reason) == ("True", "NotThroughInTime")
    assert "but only 4 fit into the next window" in short.message
