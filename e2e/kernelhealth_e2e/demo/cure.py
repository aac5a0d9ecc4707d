"""A leak that the agent may free: a namespace that is kept by a forgotten mount is unmounted."""

from __future__ import annotations

import time

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import NODE, Of, Stage, about, message
from kernelhealth_e2e.observing import Object

_REASON = "NetworkNamespaceLeaked"
_TREATMENTS = "noderemediations"


def play(stage: Stage) -> None:
    """Leak one pod's namespace by a mount, and let the policy have it freed."""
    stage.say("a pod starts, and its network namespace is mounted somewhere: shop/cart-8")
    pod = pods.start(stage.cluster, pods.Wanted("shop", "cart-8"))
    pods.noticed(stage.cluster, pod)
    with pods.fault(stage.cluster, "held_namespace", "mount", str(pod.pid)):
        stage.say("the pod is deleted; nobody remembers the mount, which keeps the namespace")
        began = time.monotonic()
        pods.delete(stage.cluster, pod)
        stage.await_(
            "NetworkNamespaceLeaked names pod and mount",
            about(_REASON, pod.title),
            since=began,
            detail=message(_REASON),
        )
        treatment = stage.await_(
            "the agent was asked to unmount it, and did",
            _is_reclaimed,
            of=Of(_TREATMENTS, _open(stage)),
            since=began,
            detail=_said,
        )
        stage.await_(
            "it is proved that it helped, and the treatment has succeeded",
            lambda one: one["status"].get("phase") == "Succeeded",
            of=Of(_TREATMENTS, treatment["metadata"]["name"]),
            since=began,
        )
        stage.await_("the node is given back", _takes_pods, of=NODE, since=began)
        stage.show("get", _TREATMENTS)


def _open(stage: Stage) -> str:
    """Return the name of the treatment that this rule has opened."""
    found = stage.observer.wait(
        _TREATMENTS, "", "a treatment by the rule forgotten-mount", _is_by_rule, 90.0
    )
    return str(found["metadata"]["name"])


def _is_by_rule(treatment: Object) -> bool:
    return bool(treatment["spec"].get("rule") == "forgotten-mount")


def _is_reclaimed(treatment: Object) -> bool:
    return any(
        rung["action"] == "reclaim" and rung["state"] == "Done" for rung in _rungs(treatment)
    )


def _said(treatment: Object) -> str:
    return next(str(rung["message"]) for rung in _rungs(treatment) if rung["action"] == "reclaim")


def _rungs(treatment: Object) -> list[Object]:
    return list(treatment.get("status", {}).get("rungs", ()))


def _takes_pods(node: Object) -> bool:
    return not node["spec"].get("unschedulable")
