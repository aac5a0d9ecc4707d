"""The runs of leaks, and the machine that they are played on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab import booking, new_boot
from kernelhealth_e2e.lab.bench import deeds
from kernelhealth_e2e.lab.kernels import modules
from kernelhealth_e2e.lab.outcome import Mark, Stage
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.lab.scenarios.leaks import pods
from kernelhealth_e2e.lab.scenarios.leaks.evidence import (
    CORRUPTING,
    LEAK,
    OBJECTS,
    TAINTED,
    complained,
    forecast,
    is_everything,
    is_explained,
    is_forecast,
    is_silent,
    leaks,
    named,
    only_tainted,
    said,
    unreclaimable,
)
from kernelhealth_e2e.scene import findings, is_cordoned, owner
from kernelhealth_e2e.vm.node import Settings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.scenarios.leaks.pods import Builds
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.vm.kernel import Kernel

_SECONDS = 900.0
_CYCLE = 5
"""Builds after which their sizes come again."""
_SAMPLES = 6
_QUICK = {"slab": {"confirmAfter": "3s", "samples": _SAMPLES, "span": "1m"}}
"""A trend is believed within minutes, where it takes hours by default. How much must have grown is
as by default."""
_MEMORY = "/proc/meminfo"
_LEAKING = {
    "name": "leaking",
    "match": {"reasons": [LEAK]},
    "actions": [{"cordon": {}}, {"reboot": {"when": "BeforeExhaustion", "expected": "5m"}}],
}
_CORRUPTED = {
    "name": "corrupted",
    "match": {"reasons": list(CORRUPTING)},
    "actions": [{"cordon": {}}, {"reboot": {"when": "Now", "escalate": True, "timeout": "4m"}}],
}
_OLD = {
    "name": "every-day",
    "match": {"uptime": "24h"},
    "actions": [{"cordon": {}}, {"reboot": {"when": "MaintenanceWindow"}}],
}
_FOREIGN = {
    "name": "foreign-modules",
    "match": {"reasons": [TAINTED], "minSeverity": "Info"},
    "actions": [{"cordon": {}}, {"reboot": {"when": "Now"}}],
}


def _forecast(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    bench.policy("Observe", [_LEAKING], detectors=_QUICK)
    with trial.stage(Stage.REPRODUCED, "objects are lost with each namespace") as saying:
        pods.insert(bench, OBJECTS)
        pods.build(bench)
        builds = pods.built(bench, _CYCLE)
        require(leaks(builds), f"this kernel loses nothing: {said(builds)}")
        saying.words = said(builds)
    with trial.stage(Stage.DETECTED, "the growth, and until when memory lasts") as saying:
        saying.words = forecast(bench.health("a forecast", is_forecast, _SECONDS))
    with trial.stage(Stage.NAMED, "all names of the cache, and what it grows with") as saying:
        health = bench.health("what it grows with", is_explained, _SECONDS)
        saying.words = named(health, builds)
    with trial.stage(Stage.TREATED, "a reboot is booked, and comes in its window") as saying:
        full = unreclaimable(bench.on("cat", _MEMORY))
        opens = booking.soon(datetime.now(UTC))
        windows = booking.windows(opens)
        bench.policy("Auto", [_LEAKING], detectors=_QUICK, maintenanceWindows=windows)
        treatment = owner(bench.cordoned())
        saying.words = str(booking.booked(bench, treatment)["waitingFor"])
        bench.succeeded(treatment, _SECONDS)
    with trial.stage(Stage.VERIFIED, "another boot, and memory is given back") as saying:
        words = new_boot.given_back(bench, before, opens)
        left = unreclaimable(bench.on("cat", _MEMORY))
        require(left < full, f"slab memory is {left >> 20} MiB, before it was {full >> 20} MiB")
        saying.words = f"{words}; slab memory {left >> 20} MiB, before {full >> 20} MiB"


def _reports(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    bench.policy("Observe", [_CORRUPTED])
    with trial.stage(Stage.REPRODUCED, "the kernel complains of five things") as saying:
        pods.insert(bench, 0)
        pods.complain(bench)
        saying.words = "a warning, a bad page, an oops, two filesystems unmounted while in use"
    with trial.stage(Stage.DETECTED, "each of them") as saying:
        health = bench.health("each complaint", is_everything)
        saying.words = ", ".join(sorted({one["reason"] for one in findings(health)}))
    with trial.stage(Stage.NAMED, "whom and what they name, and how serious they are") as saying:
        saying.words = complained(health)
    with trial.stage(Stage.TREATED, "cordoned and rebooted") as saying:
        bench.policy("Auto", [_CORRUPTED])
        ended = bench.succeeded(owner(bench.cordoned()), _SECONDS)
        saying.words = deeds(ended)
    with trial.stage(Stage.VERIFIED, "another boot, of which none of it is said") as saying:
        saying.words = new_boot.given_back(bench, before)


def _control(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    bench.policy("Auto", [_LEAKING, _OLD], detectors=_QUICK)
    with trial.stage(Stage.REPRODUCED, "the same builds lose nothing", Mark.SILENT) as saying:
        pods.insert(bench, 0)
        pods.build(bench)
        builds = _looked_at(bench)
        require(is_silent(builds), f"the control leaks: {said(builds)}")
        saying.words = said(builds)
    trial.silent(Stage.DETECTED, only_tainted(bench.health("as it is", bool)))
    trial.silent(Stage.NAMED, f"in {_SAMPLES} looks or more, which are enough for the leak")
    with trial.stage(Stage.TREATED, "nobody does anything", Mark.SILENT) as saying:
        opened = bench.scene.names("noderemediations")
        require(not opened, f"{', '.join(opened)} treats a node that nothing is wrong with")
        require(not is_cordoned(bench.kubernetes_node("as it is", bool)), "it was cordoned")
        saying.words = "no treatment and no cordon, in open windows, of a node that is not old"
    with trial.stage(Stage.VERIFIED, "rebooted for the module that is not the kernel's") as saying:
        bench.policy("Auto", [_FOREIGN])
        bench.succeeded(owner(bench.cordoned()), _SECONDS)
        saying.words = new_boot.given_back(bench, before)


def _looked_at(bench: Bench) -> Builds:
    """Return what builds have told when the agent has looked as often as a leak needs."""
    begun, builds = pods.built(bench, 1).uptime, _CYCLE
    told = pods.built(bench, builds)
    while pods.looks(bench, begun) < _SAMPLES:
        builds += _CYCLE
        told = pods.built(bench, builds)
    return told


def _machine(kernel: Kernel, workshop: Workshop) -> Settings:
    module = modules.built(kernel, pods.MODULE, workshop.cache, workshop.progress)
    return Settings(kernel, files={module.name: module})


SCENARIO = Scenario(
    "leaks",
    "Memory is lost with each network namespace, or the kernel complains of itself.",
    {
        "6.1": (
            Run("forecast", "A leak is forecast, and rebooted away before it ends.", _forecast),
            Run("reports", "A warning, an oops, a bad page, lost dentries and inodes.", _reports),
            Run("control", "The same module and builds, and nothing is lost: silent.", _control),
        )
    },
    _machine,
)
