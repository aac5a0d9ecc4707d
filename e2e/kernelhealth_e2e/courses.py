"""Rules and treatments as a test writes and reads them."""

from __future__ import annotations

import json

from kernelhealth_e2e.observing import Object
from kernelhealth_e2e.scene import Scene

CORDON: Object = {"cordon": {}}


def rule(reason: str, *actions: Object, least: str = "Warning") -> list[Object]:
    """Return the rules of a policy: the one that takes these actions for that reason."""
    match = {"reasons": [reason], "minSeverity": least}
    return [{"name": "under-test", "match": match, "actions": list(actions)}]


def rung(treatment: Object, action: str) -> Object:
    """Return how far an action of a treatment has come."""
    found: Object = next(one for one in treatment["status"]["rungs"] if one["action"] == action)
    return found


def said(treatment: Object, action: str) -> str:
    """Return what was said of an action of a treatment."""
    return str(rung(treatment, action).get("message", ""))


def waits_for(treatment: Object) -> str:
    """Return what a treatment waits for."""
    return str(treatment["status"].get("waitingFor", ""))


def decide(scene: Scene, treatment: Object, decision: str) -> None:
    """Say what a person says by one ``kubectl patch``."""
    patch = json.dumps({"spec": {"decision": decision}})
    name = treatment["metadata"]["name"]
    scene.kubectl("patch", "noderemediation", name, "--type=merge", f"--patch={patch}")


def phases(versions: list[Object]) -> list[str]:
    """Return the phases that treatments went through, each as often as it was entered."""
    every = [str(one.get("status", {}).get("phase", "")) for one in versions]
    return [new for new, old in zip(every, ["", *every], strict=False) if new and new != old]


def event(scene: Scene, reason: str, text: str) -> Object:
    """Wait for an Event about the Node that says *text*: those of earlier treatments stay."""

    def tells(one: Object) -> bool:
        about = one.get("involvedObject", {})
        here = (about.get("kind"), about.get("name"), one.get("reason"))
        return here == ("Node", scene.name, reason) and text in str(one.get("message", ""))

    what = f"an Event {reason} with {text!r}"
    return scene.observer.wait("events", "", what, tells, scene.seconds)
