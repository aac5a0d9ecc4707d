"""The runs of wedge, and the machine that they are played on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e.courses import CORDON, rung, said
from kernelhealth_e2e.lab.kernels import modules
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.lab.scenarios.wedge import control
from kernelhealth_e2e.lab.scenarios.wedge.pods import MODULE, Tenants
from kernelhealth_e2e.scene import LEAK, PODS, findings, owner
from kernelhealth_e2e.vm.node import Settings, boot_id

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

STALLED, BLOCKED = "NamespaceTeardownStalled", "NamespaceCreationBlocked"
_FIRST, _SECOND, _BUILDER = "cart-1", "cart-2", "builder"
_SLEEPING, _SPINNING = "1", "2"
_LOADED_BY_THE_SERVICE = "ip_vti"
_SECONDS = 900.0
"""On a busy machine an emulated agent looks every four minutes, since it may use so much and no
more of a processor."""


def spins(bench: Bench, trial: Trial) -> None:
    """The worker runs and runs, as it did up to Linux 4.16; the node is booted anew, cleanly."""
    tenants, before = _begin(bench)
    tenants.plain(_FIRST, _SECOND)
    with trial.stage(Stage.REPRODUCED, "the end of a pod's namespace has none") as saying:
        begun, held = _wedged(tenants, _SPINNING, early="N")
        # Where others want the processor as well, it gets only its part of it.
        require(held["state"] == "R" and held["share"] > 0.05, f"the worker is {held}")
        saying.words = f"the kernel's worker runs on {held['share']:.0%} of a processor"
    stalled = _detected(bench, trial, begun)
    with trial.stage(Stage.NAMED, "the worker, and the pods behind it") as saying:
        require("of a CPU" in stalled["message"], f"it is not said to spin: {stalled['message']}")
        # Of the first one nothing is left that could be named, but for what it cannot give back.
        tenants.delete(_SECOND)
        saying.words = f"{stalled['message']} {_leaked(bench, _SECOND)}"
    with trial.stage(Stage.TREATED, "cordoned, and booted anew by systemd") as saying:
        ended = _treated(bench, {"reboot": {"when": "Now", "escalate": True}})
        require(len(rung(ended, "reboot")["requests"]) == 1, "it was not rebooted at once")
        saying.words = said(ended, "reboot")
    _verified(bench, trial, before)


def sleeps(bench: Bench, trial: Trial) -> None:
    """The worker waits, a module that is loaded behind it blocks all others, and systemd hangs."""
    tenants, before = _begin(bench)
    tenants.plain(_FIRST)
    tenants.deed(_BUILDER, "build")
    tenants.told(_BUILDER, "built")
    with trial.stage(Stage.REPRODUCED, "the end of a pod's namespace has none") as saying:
        begun, held = _wedged(tenants, _SLEEPING, early="Y")
        require("wedge_hold" in held["stack"], f"the worker is {held}")
        saying.words = f"the kernel's worker waits (state {held['state']}): {held['stack']}"
    stalled = _detected(bench, trial, begun)
    with trial.stage(Stage.NAMED, "the worker, the pod, the module in the way") as saying:
        require("wedge_hold" in stalled["subject"]["holder"], f"who holds it is not in {stalled}")
        leaked = _leaked(bench, _FIRST)
        _require_no_other_module(bench, tenants)
        saying.words = f"{stalled['message']} {leaked} {_in_the_way(bench, tenants)}"
    with trial.stage(Stage.TREATED, "cordoned, emptied, booted anew by force") as saying:
        drain = {"drain": {"timeout": "3m", "required": False, "force": True}}
        reboot = {"reboot": {"when": "Now", "escalate": True, "timeout": "30s"}}
        ended = _treated(bench, drain, reboot)
        asked = rung(ended, "reboot")["requests"]
        require(asked[-1].endswith("-forced"), f"it was never forced: {asked}")
        saying.words = f"{said(ended, 'drain')}; {said(ended, 'reboot')}: {', '.join(asked)}"
    _verified(bench, trial, before)


def _begin(bench: Bench) -> tuple[Tenants, Object]:
    bench.policy("Observe", _rules(CORDON))
    return Tenants(bench), bench.scene.get("node", bench.scene.name)


def _rules(*actions: Object) -> list[dict[str, Any]]:
    match = {"reasons": [STALLED, BLOCKED], "minSeverity": "Critical"}
    return [{"name": "wedged", "match": match, "actions": list(actions)}]


def _wedged(tenants: Tenants, how: str, early: str) -> tuple[float, dict[str, Any]]:
    """Delete a pod whose namespace the kernel begins to destroy, and does not finish.

    Returns the monotonic time at which the pod was gone, and what is seen of the worker.
    """
    tenants.deed_of_host("fault", "hold", MODULE, how, early)
    tenants.told("fault", "armed")
    tenants.delete(_FIRST)
    return time.monotonic(), tenants.told("fault", "held")


def _detected(bench: Bench, trial: Trial, begun: float) -> Object:
    with trial.stage(Stage.DETECTED, f"{STALLED}, as the agent is shipped") as saying:
        stalled = bench.reason(STALLED, _SECONDS)
        require(stalled["severity"] == "Critical", f"it is {stalled['severity']}")
        seconds = time.monotonic() - begun
        saying.words = f"{STALLED} is Critical {seconds:.0f} s after the pod is gone"
    return stalled


def _leaked(bench: Bench, pod: str) -> str:
    """Wait until a pod is named whose namespace is not destroyed, and say how."""
    leak = bench.found(LEAK, f"{PODS}/{pod}", _SECONDS)
    require(leak.get("cause") == "TeardownPending", f"it has another cause: {leak}")
    return f"{leak['reason']} of {leak['subject']['pod']}, cause {leak['cause']}."


def _in_the_way(bench: Bench, tenants: Tenants) -> str:
    """Let a service load a module, and say how those who wait for it are named."""
    tenants.deed_of_host("installer", "serve")
    tenants.told("installer", "served")

    def named(one: Object) -> bool:
        about = (one["reason"], one.get("cause"), one["subject"].get("pod"))
        return about == (BLOCKED, "ModuleRegistrationBlocked", f"{PODS}/{_BUILDER}")

    what = f"{BLOCKED} with the module and the pod that waits"
    health = bench.health(what, lambda one: any(map(named, findings(one))), _SECONDS)
    blocked: Object = next(filter(named, findings(health)))
    require(_LOADED_BY_THE_SERVICE in blocked["message"], f"no module in {blocked['message']}")
    return str(blocked["message"])


def _require_no_other_module(bench: Bench, tenants: Tenants) -> None:
    """Whoever loads a module now, blocks all others: the agent must not."""
    loaded = {line.split()[0] for line in bench.on("cat", "/proc/modules").splitlines()}
    more = loaded - {*tenants.told("fault", "armed")["modules"]}
    require(not more, f"modules were loaded meanwhile: {more}")


def _treated(bench: Bench, *actions: Object) -> Object:
    bench.policy("Auto", _rules(CORDON, *actions))
    return bench.succeeded(owner(bench.cordoned()), _SECONDS)


def _verified(bench: Bench, trial: Trial, before: Object) -> None:
    with trial.stage(Stage.VERIFIED, "a new boot, healthy, without the links") as saying:
        after = bench.given_back(_SECONDS)
        require(boot_id(after) != boot_id(before), "the machine is still in its old boot")
        links = bench.links()
        require(links == ["eth0", "lo"], f"there are links of pods that are gone: {links}")
        saying.words = f"boot {boot_id(after)} after {boot_id(before)}, healthy and in service"


def _machine(kernel: Kernel, workshop: Workshop) -> Settings:
    built = modules.built(kernel, "wedge", workshop.cache, workshop.progress)
    # The kernel complains of what waits after 120 s by default, which nobody here has.
    hung = ("sysctl.kernel.hung_task_timeout_secs=20", "sysctl.kernel.hung_task_warnings=-1")
    return Settings(kernel, cni="lazy-ptp", files={built.name: built}, parameters=hung)


_SPINS = Run(
    "spins",
    "The worker goes round and round after the links are gone; a clean reboot.",
    spins,
)
_SLEEPS = Run(
    "sleeps",
    "The worker waits before the links go, and a module that is loaded behind it blocks whoever "
    "makes a namespace; systemd hangs with it in a clean reboot, and the kernel is forced to.",
    sleeps,
)
_CONTROL = Run(
    "control",
    "The module is inserted and does nothing; 120 namespaces end at once, again and again.",
    control.play,
)

SCENARIO = Scenario(
    name="wedge",
    title="The kernel's one worker that destroys network namespaces does not come back.",
    on={"6.1": (_CONTROL, _SPINS, _SLEEPS), "6.12": (_SPINS,)},
    machine=_machine,
    always={"6.1": ("spins",)},
    impossible={
        "4.16 and older": "The original, a frag counter of which inet_frags_exit_net() waits for "
        "zero, ended with Linux 4.17. Asked for linux-source, linux-image, linux-headers, "
        "user-mode-linux and installers with a kernel in them, Debian's bullseye, bookworm, "
        "trixie, sid and their security archives have 5.10 at the least. Of stretch (4.9), buster "
        "and jessie the mirror says 404 Not Found, and the hosts of the archive of old releases "
        "and of its snapshots are not known there (Could not resolve host). The module stands for "
        "it: the same worker goes round in a handler of the same kind, at the same point.",
    },
)
