"""A Node as the operator holds it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from kernelhealth_operator.cluster.views import NodeModel, NodeView, view_of


def node(**metadata: Any) -> dict[str, Any]:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "KubeletReady",
            "message": "some words",
            "lastHeartbeatTime": "2026-01-01T00:05:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("Ready", "NetworkNamespacesHealthy")
    ]
    return {
        "metadata": {
            "name": "n1",
            "uid": "u1",
            "resourceVersion": "5",
            "labels": {"zone": "a"},
            "annotations": {"kernelhealth.io/cordoned-by": "nr-1", "other/big": "x" * 1000},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubelet"}],
            **metadata,
        },
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}],
        },
        "status": {
            "conditions": conditions,
            "images": [{"names": ["registry.example/app:v1"], "sizeBytes": 1}],
            "nodeInfo": {"bootID": "b1", "kernelVersion": "6.1.0", "osImage": "Debian"},
        },
    }


def viewed(raw: dict[str, Any]) -> NodeView:
    model = NodeModel.model_validate_json(json.dumps(raw))
    return view_of(["NetworkNamespacesHealthy"])(model)


def test_the_view_has_what_decisions_need_and_nothing_else() -> None:
    view = viewed(node())

    assert (view.name, view.uid, view.resource_version) == ("n1", "u1", "5")
    assert view.labels == {"zone": "a"}
    assert view.annotations == {"kernelhealth.io/cordoned-by": "nr-1"}
    assert (view.created, view.deleted) == (datetime(2026, 1, 1, tzinfo=UTC), None)
    assert view.unschedulable
    assert [(taint.key, taint.value, taint.effect) for taint in view.taints] == [
        ("k", "", "NoSchedule")
    ]
    assert (view.boot_id, view.kernel_version) == ("b1", "6.1.0")
    assert not hasattr(view, "__dict__")


def test_messages_are_kept_for_the_operators_own_conditions_only() -> None:
    view = viewed(node())

    own, foreign = view.condition("NetworkNamespacesHealthy"), view.condition("Ready")
    assert own is not None
    assert foreign is not None
    assert (own.message, foreign.message) == ("some words", "")
    assert (foreign.status, foreign.reason) == ("True", "KubeletReady")
    assert view.condition("Absent") is None


def test_a_heartbeat_makes_no_other_view() -> None:
    assert viewed(node()) == viewed(node(resourceVersion="6"))
    assert viewed(node()) != viewed(node(deletionTimestamp="2026-01-02T00:00:00Z"))


def test_a_node_that_just_registered_has_a_view() -> None:
    view = viewed({"metadata": {"name": "new"}})

    assert (view.unschedulable, view.taints, view.conditions) == (False, (), ())
    assert (view.labels, view.annotations, view.boot_id) == ({}, {}, "")


def test_strings_that_nodes_share_are_held_once() -> None:
    one, other = viewed(node()), viewed(node(name="n2"))

    assert one.conditions[0].reason is other.conditions[0].reason
    assert one.labels["zone"] is other.labels["zone"]
    assert one.kernel_version is other.kernel_version
