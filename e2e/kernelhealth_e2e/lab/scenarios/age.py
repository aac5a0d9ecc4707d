"""A node that nothing is wrong with, and that a policy wants rebooted for its age.

The first of the incidents was kept at bay so for years: a reboot before what leaks is used up.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab import new_boot
from kernelhealth_e2e.lab.bench import deeds
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.scene import is_well, owner
from kernelhealth_e2e.vm.node import Settings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

_HOUR = timedelta(hours=1)
"""The least that a policy may ask for; a machine cannot be made to look older than it is."""
_PATIENCE = 4500.0
_SECONDS = 900.0
_REASON = "Uptime"
_OLD = {
    "name": "every-hour",
    "match": {"uptime": "1h"},
    "actions": [{"cordon": {}}, {"reboot": {"when": "MaintenanceWindow"}}],
}


def _every_hour(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    bench.policy("Auto", [_OLD])
    with trial.stage(Stage.REPRODUCED, "a machine that has been up for an hour") as saying:
        treatment = owner(bench.cordoned(_PATIENCE))
        health = bench.health("nothing wrong", is_well)
        saying.words = "cordoned, and nothing is wrong with it"
    told = bench.scene.get("noderemediation", treatment)
    with trial.stage(Stage.DETECTED, "not before it was old enough") as saying:
        saying.words = _aged(told, health)
    with trial.stage(Stage.NAMED, "the age, and the rule that asks for it") as saying:
        saying.words = _named(told)
    with trial.stage(Stage.TREATED, "rebooted in its window") as saying:
        ended = bench.succeeded(treatment, _SECONDS)
        saying.words = deeds(ended)
    with trial.stage(Stage.VERIFIED, "another boot, which is young, and let be") as saying:
        saying.words = _young(bench, before, treatment)


def _aged(treatment: Object, health: Object) -> str:
    """Return how old the node was; HarnessError where that is less than an hour."""
    began = datetime.fromisoformat(health["status"]["bootTime"])
    age = datetime.fromisoformat(treatment["metadata"]["creationTimestamp"]) - began
    # Both are told in whole seconds.
    require(age >= _HOUR - timedelta(seconds=1), f"it was treated when it was up for {age}")
    return f"treated when it was up for {age}"


def _named(treatment: Object) -> str:
    """Return what it is treated for; HarnessError where that is not its age."""
    spec = treatment["spec"]
    reasons, rule = spec["reasons"], spec["rule"]
    require(reasons == [_REASON], f"it is treated for {', '.join(reasons)}")
    require(rule == _OLD["name"], f"it is treated by rule {rule}")
    return f"{_REASON}, by rule {rule}: {treatment['status']['evidence'][0]['message']}"


def _young(bench: Bench, before: Object, treatment: str) -> str:
    """Wait until the node is given back, and say which boot it is in."""
    told = new_boot.given_back(bench, before)
    opened = bench.scene.names("noderemediations")
    require(opened == [treatment], f"it is treated again: {', '.join(opened)}")
    return told


def _machine(kernel: Kernel, _: Workshop) -> Settings:
    return Settings(kernel)


SCENARIO = Scenario(
    "age",
    "Nothing is wrong with a node, and a policy wants it rebooted for its age.",
    {"6.12": (Run("every-hour", "Rebooted once it is an hour old, and let be.", _every_hour),)},
    _machine,
)
