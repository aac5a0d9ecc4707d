from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
)
from kernelhealth_operator.history import Retention
from kernelhealth_operator.policy.situation import Treatment

NOW = datetime(2026, 2, 1, tzinfo=UTC)
SPEC = NodeRemediationSpec(
    node_name="alpha", node_uid="n1", policy="p", rule="r", reasons=("X",), plan=({"cordon": {}},)
)
NONE = timedelta(0)


def _ended(*hours_ago: int) -> tuple[Treatment, ...]:
    return tuple(
        Treatment(
            f"alpha-{hours}",
            "1",
            NOW - timedelta(hours=hours + 1),
            SPEC,
            NodeRemediationStatus(phase=Phase.SUCCEEDED, finished_at=NOW - timedelta(hours=hours)),
        )
        for hours in hours_ago
    )


def _names(treatments: tuple[Treatment, ...]) -> list[str]:
    return [one.name for one in treatments]


def test_beyond_the_limit_the_oldest_go() -> None:
    retention = Retention(2, timedelta(days=30))

    expired = retention.expired(_ended(1, 2, 3, 4), NOW, NONE)

    assert _names(expired) == ["alpha-3", "alpha-4"]


def test_beyond_the_time_to_live_all_go() -> None:
    retention = Retention(10, timedelta(hours=3))

    assert _names(retention.expired(_ended(1, 3, 4), NOW, NONE)) == ["alpha-3", "alpha-4"]
    assert retention.due(_ended(1, 2), NONE) == NOW + timedelta(hours=1)


def test_within_the_cool_down_a_persons_no_is_kept_whatever_the_settings() -> None:
    retention = Retention(1, timedelta(minutes=1))

    assert retention.expired(_ended(1, 2), NOW, timedelta(hours=3)) == ()
