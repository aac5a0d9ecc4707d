"""The runs of suppress_prefix, and the machine that they are played on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e.demo.stage import finding
from kernelhealth_e2e.lab import booking
from kernelhealth_e2e.lab.outcome import Mark, Stage
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.lab.scenarios.suppress_prefix.evidence import (
    FEW,
    FIX,
    LEAKING,
    STUCK,
    TRAP,
    detected,
    is_forecast,
    is_silent,
    is_stopped,
    leaks,
    named,
    said,
)
from kernelhealth_e2e.lab.scenarios.suppress_prefix.pod import OBJECTS, Gateway, gateway
from kernelhealth_e2e.scene import findings, is_cordoned, owner
from kernelhealth_e2e.vm.node import Settings, boot_id

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

_REBOOT_SECONDS = 600.0
_BOOKED = timedelta(minutes=20)
"""How far away the window is that a reboot is booked for: the memory lasts for hours."""
_MOVED = timedelta(minutes=-2)
"""Where the window is moved to when all has been seen that there is before: it is open."""
_FOLLOWS = timedelta(days=30)
"""How long after that window another one opens, which is too late."""
_PACKETS = 2_000
"""After so many it is plain whether an object is lost with each."""
_QUICK = {
    "suppressPrefix": {"confirmAfter": "3s", "growthSamples": 3, "growthSpan": "40s"},
    "slab": {"confirmAfter": "3s", "samples": 4, "span": "1m", "growthBytes": 1 << 20},
}
"""Detectors that make up their minds within minutes, where they take hours by default."""
Actions = tuple[dict[str, dict[str, Any]], ...]
_STOP: Actions = ({"cordon": {}}, {"fixConfig": {"fixes": [FIX], "verifyWithin": "1s"}})
_TREATMENT: Actions = (*_STOP, {"reboot": {"when": "BeforeExhaustion", "expected": "5m"}})
_DRAIN = {"timeout": "100s", "required": False, "force": True}
"""Longer than the kernel takes to say often enough that it waits."""
_EMPTYING: Actions = (*_STOP, {"drain": _DRAIN}, {"reboot": {"when": "Now"}})


def _leaking(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    base = int(bench.on("cat", OBJECTS).split()[0])
    _policy(bench, "Observe")
    with gateway(bench, "vpn") as pod:
        _reproduced(trial, pod)
        with trial.stage(Stage.DETECTED, "the growth and until when memory lasts") as saying:
            health = bench.health("a forecast", lambda one: is_forecast(one, pod.title))
            saying.words = detected(health)
        with trial.stage(Stage.NAMED, "the rule, the filter, the pod and the cache") as saying:
            saying.words = named(health, pod.title, "Warning")
        with trial.stage(Stage.TREATED, "the rule goes, and a reboot is booked") as saying:
            treatment, saying.words = _treated(bench, pod)
        with trial.stage(Stage.VERIFIED, "a new boot, and nothing is left") as saying:
            _policy(bench, "Auto", _MOVED)
            bench.succeeded(treatment, _REBOOT_SECONDS)
            saying.words = _verified(bench, before, base)


def _reproduced(trial: Trial, pod: Gateway) -> None:
    with trial.stage(Stage.REPRODUCED, "an object is lost with each packet") as saying:
        grown = pod.after(_PACKETS)
        require(leaks(grown), f"this kernel loses nothing: {said(grown)}")
        saying.words = said(grown)


def _policy(
    bench: Bench, mode: str, opens: timedelta = _BOOKED, actions: Actions = _TREATMENT
) -> None:
    """Let a policy govern the node whose next window opens in so much time."""
    match = {"reasons": [LEAKING], "minSeverity": "Warning"}
    rule = {"name": "routes-leak", "match": match, "actions": list(actions)}
    begins = datetime.now(UTC) + opens
    windows = booking.windows(begins, begins + _FOLLOWS)
    bench.policy(mode, [rule], detectors=_QUICK, maintenanceWindows=windows)


def _treated(bench: Bench, pod: Gateway) -> tuple[str, str]:
    """Return the NodeRemediation that removes the rule and books a reboot, and what it says."""
    _policy(bench, "Auto")
    treatment = owner(bench.cordoned())
    booked = booking.booked(bench, treatment)
    grown = pod.after(_PACKETS)
    require(is_silent(grown), f"it went on after the rule was taken away: {said(grown)}")
    health = bench.health(f"{LEAKING} without {TRAP}", is_stopped)
    lost = (finding(health, LEAKING) or {})["value"]
    (message,) = (rung["message"] for rung in booked["rungs"] if rung["action"] == "fixConfig")
    return treatment, (
        f"{message}; then {said(grown)}; about {lost:.0f} stay lost: {booked['waitingFor']}"
    )


def _verified(bench: Bench, before: Object, base: int) -> str:
    """Return what the new boot is like; HarnessError where it is the old one, or leaks again."""
    after = bench.given_back()
    require(boot_id(after) != boot_id(before), f"it still runs boot {boot_id(before)}")
    left = int(bench.on("cat", OBJECTS).split()[0])
    require(left < base + 2 * FEW, f"{left} objects are in the cache, before all {base} were")
    return f"boot {boot_id(after)}: {left} objects in the cache, uncordoned and well"


def _drained(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    base = int(bench.on("cat", OBJECTS).split()[0])
    _policy(bench, "Observe")
    with gateway(bench, "peers") as pod:
        _reproduced(trial, pod)
        with trial.stage(Stage.DETECTED, "the leak") as saying:
            saying.words = bench.found(LEAKING, pod.title)["message"]
        _policy(bench, "Auto", actions=_EMPTYING)
        with trial.stage(Stage.NAMED, "the pod cannot be ended") as saying:
            treatment = owner(bench.cordoned())
            saying.words = bench.reason(STUCK)["message"]
        with trial.stage(Stage.TREATED, "the drain gives up, and the reboot follows") as saying:
            rungs = bench.succeeded(treatment, _REBOOT_SECONDS)["status"]["rungs"]
            saying.words = next(one["message"] for one in rungs if one["action"] == "drain")
        with trial.stage(Stage.VERIFIED, "a new boot, and nothing is left") as saying:
            saying.words = _verified(bench, before, base)


def _control(bench: Bench, trial: Trial) -> None:
    before = bench.kubernetes_node("as it is", bool)
    _policy(bench, "Auto")
    with gateway(bench, "vpn") as pod:
        with trial.stage(Stage.REPRODUCED, "nothing is lost", Mark.SILENT) as saying:
            grown = pod.after(2 * _PACKETS)
            require(is_silent(grown), f"the fixed kernel leaks: {said(grown)}")
            saying.words = said(grown)
        with trial.stage(Stage.DETECTED, "the trap, of which this kernel takes no harm") as saying:
            trap = bench.found(TRAP, pod.title)
            saying.words = f"{trap['severity']} {TRAP}, cures {', '.join(trap['cures'])}"
        with trial.stage(Stage.NAMED, "the rule, the filter and the pod") as saying:
            health = bench.health("one that is there", bool)
            saying.words = named(health, pod.title, "Info")
        with trial.stage(Stage.TREATED, "nobody does anything", Mark.SILENT) as saying:
            saying.words = _left_alone(bench, health)
    with trial.stage(Stage.VERIFIED, "the pod ends, and nothing is left") as saying:
        after = bench.given_back()
        require(boot_id(after) == boot_id(before), "the node was rebooted for nothing")
        saying.words = "the pod and its namespace are gone, in the same boot"


def _left_alone(bench: Bench, health: Object) -> str:
    """Return that nothing was done; HarnessError where it was, or what there is is not harmless."""
    found = {one["reason"]: one["severity"] for one in findings(health)}
    require(found == {TRAP: "Info"}, f"more than the trap is found: {found}")
    opened = bench.scene.names("noderemediations")
    require(not opened, f"{', '.join(opened)} treats a node that nothing is wrong with")
    node = bench.kubernetes_node("as it is", bool)
    require(not is_cordoned(node), "the node was cordoned for nothing")
    return "no treatment in the mode Auto, no cordon, no other finding"


def _machine(kernel: Kernel, _: Workshop) -> Settings:
    return Settings(kernel)


_LEAKING = Run(
    "leaking",
    "A growing leak is stopped by removing the rule; what is lost comes back by a booked reboot.",
    _leaking,
)
_DRAINED = Run(
    "drained",
    "A pod that lost routes cannot be ended, nor the node be drained: the reboot follows anyway.",
    _drained,
)
_CONTROL = Run("control", "The same pod on a kernel with the fix loses nothing.", _control)

SCENARIO = Scenario(
    "suppress_prefix",
    "An IPv6 rule with suppress_prefixlength beside an nftables fib rule (incident 004).",
    {"6.1-without-cdef4852": (_LEAKING, _DRAINED), "6.1-built": (_CONTROL,)},
    _machine,
)
