"""The main chapter: a pod's network namespace leaks; the node is cordoned, and given back."""

from __future__ import annotations

import contextlib
import time

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import NODE, Stage, about, condition, finding, message
from kernelhealth_e2e.observing import Object

_REASON, _CONDITION = "NetworkNamespaceLeaked", "NetworkNamespacesHealthy"
_OWNER = "kernelhealth.io/cordoned-by"


def play(stage: Stage) -> None:
    """Leak one pod's namespace by a socket in flight, and let it go again."""
    stage.say("a pod starts: shop/cart-7")
    pod = pods.start(stage.cluster, pods.Wanted("shop", "cart-7"))
    pods.noticed(stage.cluster, pod)
    with contextlib.ExitStack() as holder:
        stage.say(
            "a socket of its network namespace is sent through a unix socket, and stays there"
        )
        fault = pods.fault(stage.cluster, "held_namespace", "in-flight", str(pod.pid))
        holder.enter_context(fault)
        stage.say("the pod is deleted; no process, mount or descriptor shows its namespace now")
        began = time.monotonic()
        pods.delete(stage.cluster, pod)
        _found(stage, pod, began)
        _cordoned(stage)
        stage.say("the holder goes: the socket in flight is closed")
    _given_back(stage)


def _found(stage: Stage, pod: pods.Started, began: float) -> None:
    stage.await_(
        "the leak is suspected",
        lambda health: health["status"].get("suspected", 0) > 0 or bool(finding(health, _REASON)),
        since=began,
    )
    stage.await_(
        "NetworkNamespaceLeaked names the pod",
        about(_REASON, pod.title),
        since=began,
        detail=message(_REASON),
    )


def _cordoned(stage: Stage) -> None:
    stage.await_("the node is cordoned, and by whom", _is_ours, of=NODE, detail=_owner)
    stage.await_(
        "the Node has the condition",
        lambda node: condition(node, _CONDITION).get("status") == "False",
        of=NODE,
        detail=lambda node: f"{_CONDITION}=False, {condition(node, _CONDITION)['reason']}",
    )
    stage.show("get", "nkh", "-o", "wide")
    stage.show("get", "nodes", stage.node)
    stage.show("get", "noderemediations")
    _event(stage)


def _event(stage: Stage) -> None:
    """Wait for the Event, and show it where people look for it."""
    begun = time.monotonic()
    selector = f"involvedObject.kind=Node,involvedObject.name={stage.node},reason=NodeCordoned"
    wait = ("wait", "--for=create", "events", f"--field-selector={selector}", "--timeout=30s")
    stage.cluster.kubectl(*wait, "--namespace=default", seconds=40)
    stage.note("kubectl describe node shows the Event", time.monotonic() - begun, "NodeCordoned")
    stage.show("describe", "node", stage.node, only="kernelhealth")


def _given_back(stage: Stage) -> None:
    began = time.monotonic()
    stage.await_(
        "the finding is gone by itself",
        lambda health: not finding(health, _REASON) and health["status"]["health"] == "Healthy",
        since=began,
    )
    stage.await_(
        "the node is given back",
        lambda node: not node["spec"].get("unschedulable") and not _owner(node),
        of=NODE,
        since=began,
    )
    stage.show("get", "nkh")
    stage.show("get", "nodes", stage.node)
    stage.show("get", "noderemediations")


def _is_ours(node: Object) -> bool:
    return bool(node["spec"].get("unschedulable")) and bool(_owner(node))


def _owner(node: Object) -> str:
    return str(node["metadata"].get("annotations", {}).get(_OWNER, ""))
