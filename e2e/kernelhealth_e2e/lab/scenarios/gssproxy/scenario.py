"""The runs of gssproxy, and the machine that they are played on."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e.courses import CORDON, said, waits_for
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.lab.scenarios.gssproxy import (
    control,
    image,
    leak,
    network_state,
    pods,
    second_function,
)
from kernelhealth_e2e.lab.scenarios.gssproxy.leak import CAUSE, MODULE
from kernelhealth_e2e.scene import LEAK, owner
from kernelhealth_e2e.vm.node import Settings, boot_id

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

_MATCH = {"causes": [CAUSE], "reasons": [LEAK]}
_DETECTORS = {
    "networkNamespaces": {"confirmAfter": "3s"},
    # Longer than an emulated CNI plugin is at work, which leaves the same picture.
    "residualLinks": {"confirmAfter": "20s"},
}
_KEPT_OUT_BY = f"/host/etc/modprobe.d/kernelhealth-{MODULE}.conf"
_SERVER = "nfsd"
_BYSTANDER = "till-1"


def freed(bench: Bench, trial: Trial) -> None:
    """The leak is cured by unloading the module, and with it the function that the pod owned."""
    _policy(bench, "Observe", [])
    before = _node(bench)
    lost = leak.made(bench, trial, "ticket-1")
    with trial.stage(Stage.DETECTED, f"{second_function.REASON} of {lost.pod}") as saying:
        saying.words = second_function.stranded(bench, lost.pod, lost.after)
    stop = {"fixConfig": {"verifyWithin": "1s"}}  # It frees nothing: there is no use in waiting.
    with trial.stage(Stage.TREATED, "cordoned, the module kept out and unloaded") as saying:
        _policy(bench, "Auto", [CORDON, stop, {"reclaim": {}}])
        treatment = bench.succeeded(owner(bench.cordoned()))
        saying.words = _told(
            treatment, fixConfig="BlockRpcGssModule: 1 done", reclaim="UnloadRpcGssModule: 1 done"
        )
    with trial.stage(Stage.VERIFIED, "namespace and link are gone, in the same boot") as saying:
        after = bench.given_back()
        state = network_state.of(bench)
        leak.require_healed(lost.before, state)
        back = second_function.returned(state)
        require(boot_id(after) == boot_id(before), "the machine has booted, which nobody wanted")
        require(MODULE not in state.modules, f"{MODULE} is loaded")
        blocked = f"install {MODULE} " in bench.on("cat", _KEPT_OUT_BY)
        require(blocked, f"{_KEPT_OUT_BY} does not keep {MODULE} out")
        links = ", ".join(lost.after.lost_links)
        saying.words = f"{links} and its namespace are gone, {back}; same boot"


def refused(bench: Bench, trial: Trial) -> None:
    """An NFS server needs the module: the node is emptied and booted anew, in its window."""
    _policy(bench, "Observe", [])
    before = _node(bench)
    load = partial(pods.load, bench, _SERVER)
    lost = leak.made(bench, trial, "gateway-1", meanwhile=load)
    pods.bystander(bench, _BYSTANDER)
    drain = {"drain": {"force": True, "gracePeriod": "1s"}}
    # What is refused frees nothing: there is no use in waiting.
    reclaim = {"reclaim": {"verifyWithin": "1s"}}
    actions = [CORDON, reclaim, drain, {"reboot": {"expected": "5m"}}]
    with trial.stage(Stage.TREATED, "the unloading refused, drained, booted anew") as saying:
        _policy(bench, "Auto", actions, maintenanceWindows=[_half_a_day_away()])
        treatment = owner(bench.cordoned())
        waiting = _waiting(bench, treatment)
        refusal = _told(waiting, reclaim=f"the module {_SERVER} uses it")
        require(boot_id(_node(bench)) == boot_id(before), "it did not wait for its window")
        _policy(bench, "Auto", actions)
        ended = bench.succeeded(treatment)
        saying.words = f"{refusal}; {_told(ended, drain='no pods are left', reboot='boot')}"
    with trial.stage(Stage.VERIFIED, "a new boot, without the leak") as saying:
        after = bench.given_back()
        state = network_state.of(bench)
        leak.require_healed(lost.before, state)
        require(boot_id(after) != boot_id(before), "the machine is still in its old boot")
        require(_SERVER not in state.modules, f"{_SERVER} is loaded")
        require(not pods.running(bench), "a pod was not evicted")
        saying.words = f"boot {boot_id(after)} after {boot_id(before)}, healthy and in service"


def silent(bench: Bench, trial: Trial) -> None:
    """The same pod, with one word changed in its configuration."""
    _policy(bench, "Auto", [CORDON])
    control.play(bench, trial, "ticket-0")


def _policy(bench: Bench, mode: str, actions: list[Object], **changes: Any) -> None:
    rules = [{"name": "pinned", "match": _MATCH, "actions": actions or [CORDON]}]
    bench.policy(mode, rules, detectors=_DETECTORS, **changes)


def _half_a_day_away() -> Object:
    hour = (datetime.now(UTC).hour + 12) % 24
    return {"schedule": f"0 {hour} * * *", "duration": "1h"}


def _waiting(bench: Bench, treatment: str) -> Object:
    """Wait until a treatment has nothing more to do before its window, and return it."""

    def holds(one: Object) -> bool:
        return waits_for(one).startswith("MaintenanceWindow")

    what = "it waits for its window"
    return bench.scene.observer.wait("noderemediation", treatment, what, holds, SECONDS)


def _told(treatment: Object, **wanted: str) -> str:
    """Return what was said of actions, each of which must have that in it."""
    told = {action: said(treatment, action) for action in wanted}
    for action, words in wanted.items():
        require(words in told[action], f"of {action} was said {told[action]!r}, without {words!r}")
    return "; ".join(f"{action}: {text}" for action, text in told.items())


def _node(bench: Bench) -> Object:
    return bench.scene.get("node", bench.scene.name)


def _machine(kernel: Kernel, workshop: Workshop) -> Settings:
    return Settings(
        kernel,
        cni="function-ptp",
        modules=(MODULE,),
        images=(image.archive(workshop),),
        hardware=second_function.HARDWARE,
    )


_FREED = Run(
    "freed",
    "The pod's namespace leaks, with the network function that it owned; unloading the module "
    "frees both without a reboot.",
    freed,
)
_REFUSED = Run(
    "nfsd-holds-the-module",
    "The module cannot be unloaded while an NFS server uses it: drained, and a real reboot.",
    refused,
)
_CONTROL = Run(
    "control",
    "The same pod with kernel_nfsd = no: nothing stays, nothing is found, nothing is done.",
    silent,
)

# What frees the leak keeps the module out from then on: that run is the last of its machine.
SCENARIO = Scenario(
    name="gssproxy",
    title="A privileged pod with gssproxy makes the kernel keep its network namespace for ever.",
    on={
        "6.1": (_CONTROL, _REFUSED, _FREED),
        "6.12": (_REFUSED, _FREED),
        "newest": (_FREED,),
    },
    machine=_machine,
    always={"6.12": ("nfsd-holds-the-module", "freed")},
)
