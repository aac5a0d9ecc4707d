from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.reporters import summary
from kernelhealth_api.v1alpha1.finding import Finding, Severity, Subject

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Node(Protocol):
    has: Callable[..., None]
    look: Callable[..., Outcome]


def found(**more: object) -> Finding:
    about = {
        "reason": "NetworkNamespaceLeaked",
        "severity": Severity.WARNING,
        "message": "It leaked.",
        "since": NOW - timedelta(hours=3),
    }
    return Finding.model_validate(about | more)


def test_a_sound_machine_is_called_so_by_those_who_looked(node: Node) -> None:
    outcome = node.look()

    text = summary.summary(outcome.status, NOW)

    assert text == "Nothing is wrong with this kernel as far as 2 detectors can see."


def test_what_failed_is_told_apart_from_what_is_not_there(node: Node) -> None:
    node.has(leaks="garbage")

    text = summary.summary(node.look().status, NOW)

    assert "as far as 1 detectors can see" in text
    assert "Not known, because the look failed: LeaksHealthy (ReadFailed)." in text


def test_a_machine_that_nobody_could_look_at_is_not_called_sound(node: Node) -> None:
    node.has(leaks="garbage", traps="garbage")

    text = summary.summary(node.look().status, NOW)

    assert text.startswith("Nothing could be looked at")


def test_the_worst_three_are_told_and_the_others_counted(node: Node) -> None:
    outcome = node.look()
    status = outcome.status.model_copy(update={"findings": (found(),) * 5})

    lines = summary.summary(status, NOW).splitlines()

    assert lines[0] == "5 things are wrong with this kernel."
    assert [line[:2] for line in lines[1:4]] == ["1.", "2.", "3."]
    assert lines[4] == "… and 2 more, below."


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ({}, "Network namespace leaked, for 3 h. See below what to do."),
        (
            {"count": 14, "subject": Subject(pod="shop/cart"), "cures": ("Reboot",)},
            (
                "Network namespace leaked, 14 times, by pod shop/cart, for 3 h. "
                "Only a reboot cures it."
            ),
        ),
        (
            {"per_hour": 2.5, "cures": ("UnmountNamespace", "Reboot")},
            (
                "Network namespace leaked, for 3 h; 2.5 more every hour. "
                "Cure: unmount namespace; a reboot is the last resort."
            ),
        ),
        (
            {"exhaustion": NOW + timedelta(days=2), "since": NOW},
            "Network namespace leaked; the node runs out in 2 d. See below what to do.",
        ),
        (
            {"exhaustion": NOW - timedelta(days=2), "since": NOW},
            "Network namespace leaked; it has run out. See below what to do.",
        ),
    ],
)
def test_a_finding_is_told_in_one_line(about: dict[str, object], text: str) -> None:
    assert summary.sentence(found(**about), NOW) == text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SlabLeak", "slab leak"),
        ("TCPConnectionsHealthy", "TCP connections healthy"),
        ("RCUStall", "RCU stall"),
        ("IPv6RouteObjectsLeaking", "IPv6 route objects leaking"),
    ],
)
def test_names_become_words(name: str, words: str) -> None:
    assert summary.words(name) == words
