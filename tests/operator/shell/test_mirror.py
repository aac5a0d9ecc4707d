from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_operator import mirror
from kernelhealth_operator.cluster.views import NodeCondition, NodeView
from kernelhealth_operator.held import HealthView, Reading
from kernelhealth_operator.kinds import MIRRORED, health_of

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)
KIND = "NetworkNamespacesHealthy"
READY = NodeCondition("Ready", "True", "KubeletReady", "", THEN)
SHOWN = NodeCondition(KIND, "True", "Healthy", "fine", THEN)
NODE = NodeView(
    name="alpha",
    uid="n1",
    resource_version="1",
    labels={},
    annotations={MIRRORED: KIND},
    created=THEN,
    deleted=None,
    unschedulable=False,
    taints=(),
    conditions=(READY, SHOWN),
    boot_id="",
    kernel_version="",
)
BLANK: HealthView = health_of({"metadata": {"name": "alpha"}})
HEALTHY = replace(BLANK, readings=(Reading(KIND, "True", "Healthy", "fine", THEN),))


def _patch(node: NodeView, *readings: Reading) -> Any:
    return mirror.patch(node, replace(BLANK, readings=readings), NOW)


def test_what_is_shown_already_is_not_written() -> None:
    assert mirror.patch(NODE, HEALTHY, NOW) is None


def test_a_new_status_moves_the_time() -> None:
    body = _patch(NODE, Reading(KIND, "False", "Leaked", "one", THEN))

    assert body["status"]["conditions"][0]["lastTransitionTime"] == "2026-01-01T01:00:00Z"


def test_a_new_message_alone_does_not_move_the_time() -> None:
    body = _patch(NODE, Reading(KIND, "True", "Healthy", "finer", THEN))

    (condition,) = body["status"]["conditions"]
    assert condition["message"] == "finer"
    assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_the_first_mirroring_notes_whose_the_conditions_are() -> None:
    bare = replace(NODE, annotations={}, conditions=(READY,))

    body = mirror.patch(bare, HEALTHY, NOW)

    assert body is not None
    assert body["metadata"] == {"annotations": {MIRRORED: KIND}}


def test_what_is_no_longer_reported_is_removed_if_it_is_ours() -> None:
    foreign = NodeCondition("DisksHealthy", "True", "Fine", "", THEN)

    body = _patch(replace(NODE, conditions=(READY, SHOWN, foreign)))

    assert body["status"]["conditions"] == [{"type": KIND, "$patch": "delete"}]
    assert body["metadata"] == {"annotations": {MIRRORED: None}}


@pytest.mark.parametrize("kind", ["Ready", "MemoryPressure", "DiskPressure"])
def test_a_condition_of_the_kubelet_is_never_touched(kind: str) -> None:
    bare = replace(NODE, annotations={}, conditions=(READY,))

    assert _patch(bare, Reading(kind, "False", "Forged", "", THEN)) is None


@pytest.mark.parametrize(
    "kind", ["Ready", "KernelReady", "KernelDeadlock", "A,BHealthy", "Healthy"]
)
def test_no_condition_but_of_our_own_form_is_mirrored(kind: str) -> None:
    assert _patch(NODE, *HEALTHY.readings, Reading(kind, "False", "Bad", "", THEN)) is None
