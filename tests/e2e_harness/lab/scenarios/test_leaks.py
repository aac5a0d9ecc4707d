"""What the scenario leaks counts, waits for and concludes."""

from __future__ import annotations

from typing import Any

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.leaks import evidence
from kernelhealth_e2e.lab.scenarios.leaks.pods import Builds

BUILDS = Builds(namespaces=40, caches=("biovec-64",), objects=10_240, uptime=200.0)
LEAK: dict[str, Any] = {
    "reason": "SlabLeak",
    "severity": "Critical",
    "cause": "KmallocPerNamespaceLeak",
    "subject": {"holder": "kernel (slab cache biovec-64, khleak, sgpool-32)"},
    "message": "Slab cache biovec-64 (one with khleak, sgpool-32: any of them may be what grows)"
    " has grown: 540 MiB an hour over the last 1 h, 251.3 objects with each new namespace",
    "perHour": 566_231_040,
    "exhaustion": "2027-01-01T02:00:00Z",
}
COMPLAINTS: list[dict[str, Any]] = [
    {
        "reason": reason,
        "severity": "Info" if reason == "KernelWarned" else "Critical",
        "message": f"The kernel said {words}",
    }
    for reason, words in evidence.COMPLAINTS.items()
]


def reported(*findings: dict[str, Any], health: str = "Healthy") -> dict[str, Any]:
    """Return a NodeKernelHealth with these findings."""
    return {"status": {"health": health, "findings": list(findings)}}


def test_objects_are_lost_where_each_namespace_costs_nearly_all_of_them() -> None:
    few = Builds(40, ("biovec-64",), 6_000, 200.0)

    assert evidence.leaks(BUILDS)
    assert not evidence.leaks(few)


def test_a_control_is_silent_while_a_cache_merely_breathes() -> None:
    breathing = Builds(40, ("biovec-64",), -64, 200.0)

    assert evidence.is_silent(breathing)
    assert not evidence.is_silent(BUILDS)


def test_a_growth_without_an_end_is_no_forecast() -> None:
    endless = {name: value for name, value in LEAK.items() if name != "exhaustion"}

    assert evidence.is_forecast(reported(LEAK))
    assert not evidence.is_forecast(reported(endless))
    assert not evidence.is_forecast(reported())


def test_a_forecast_is_told_in_figures() -> None:
    told = evidence.forecast(reported(LEAK))

    assert told == "Critical SlabLeak: 540 MiB an hour, memory ends at 2027-01-01T02:00:00Z"


def test_a_leak_of_another_cache_is_not_taken_for_that_of_the_module() -> None:
    other = {**LEAK, "subject": {"holder": "kernel (slab cache dentry)"}}

    assert evidence.lost(reported(other, LEAK)) is LEAK
    assert evidence.lost(reported(other)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"cause": None},
        {"message": LEAK["message"].partition(", 251.3")[0]},
        {"message": LEAK["message"].replace("251.3", "90.0")},
    ],
    ids=["no cause", "no number", "another number"],
)
def test_a_leak_is_explained_by_its_cause_and_by_the_objects_of_each_namespace(
    changes: dict[str, Any],
) -> None:
    other = {**LEAK, **changes}

    assert evidence.is_explained(reported(LEAK))
    assert not evidence.is_explained(reported(other))


def test_a_leak_is_named_by_all_names_of_the_cache() -> None:
    nameless = {**LEAK, "message": LEAK["message"].replace("biovec-64", "kmalloc-1k")}

    assert evidence.named(reported(LEAK), BUILDS).startswith("Critical SlabLeak, cause Kmalloc")
    with pytest.raises(HarnessError, match="does not name biovec-64"):
        evidence.named(reported(nameless), BUILDS)


def test_a_cache_that_slabinfo_has_under_its_own_name_was_not_merged() -> None:
    alone = Builds(40, ("khleak",), 10_240, 200.0)

    with pytest.raises(HarnessError, match="nothing was merged"):
        evidence.named(reported(LEAK), alone)


def test_every_complaint_is_waited_for() -> None:
    assert evidence.is_everything(reported(*COMPLAINTS))
    assert not evidence.is_everything(reported(*COMPLAINTS[1:]))


@pytest.mark.parametrize("reason", evidence.COMPLAINTS)
def test_a_complaint_has_to_name_what_it_is_about(reason: str) -> None:
    dumb = [
        {**one, "message": "The kernel complains."} if one["reason"] == reason else one
        for one in COMPLAINTS
    ]

    with pytest.raises(HarnessError, match=f"{reason} does not say"):
        evidence.complained(reported(*dumb))


def test_a_warning_alone_is_not_serious_and_damage_is() -> None:
    serious = [{**one, "severity": "Critical"} for one in COMPLAINTS]
    harmless = [{**one, "severity": "Info"} for one in COMPLAINTS]

    words = evidence.complained(reported(*COMPLAINTS))

    assert words.count("Critical ") == len(evidence.CORRUPTING)
    with pytest.raises(HarnessError, match="KernelWarned is Critical and not Info"):
        evidence.complained(reported(*serious))
    with pytest.raises(HarnessError, match="is Info and not Critical"):
        evidence.complained(reported(*harmless))


def test_of_a_control_no_more_is_said_than_that_the_module_is_foreign() -> None:
    tainted = {"reason": "KernelTainted", "severity": "Info", "message": "by module leak"}

    assert "KernelTainted" in evidence.only_tainted(reported(tainted))
    with pytest.raises(HarnessError, match="has SlabLeak"):
        evidence.only_tainted(reported(LEAK, health="Critical"))
    with pytest.raises(HarnessError, match="health is Unknown"):
        evidence.only_tainted(reported(tainted, health="Unknown"))


def test_slab_memory_is_read_from_meminfo() -> None:
    assert evidence.unreclaimable("Slab: 9 kB\nSUnreclaim:   2048 kB\n") == 2 << 20
    with pytest.raises(HarnessError, match="no line SUnreclaim"):
        evidence.unreclaimable("MemFree: 1 kB\n")
