"""Very many network namespaces that end at once, with the lab's module inserted and not armed.

The kernel is slow to destroy them, and nothing is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e.courses import CORDON
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.scenarios.wedge.pods import MODULE, Tenants
from kernelhealth_e2e.scene import findings, owner

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.observing import Object

WRONG = (
    "NamespaceTeardownStalled",
    "NamespaceCreationBlocked",
    "NetworkNamespaceLeaked",
    "ResidualPodLink",
)
_SIZE, _SECONDS = 120, 240
"""For longer than the fault needs to be found."""
_MARK = "KernelTainted"
"""What an inserted module of the lab leaves in any case: an Info, and no trouble."""


def play(bench: Bench, trial: Trial) -> None:
    """Play it, and boot the machine anew: the module's mark stays for as long as the boot does."""
    bench.policy("Auto", [_rule(WRONG, CORDON)])
    tenants = Tenants(bench)
    with bench.scene.observer.record("nodekernelhealth", bench.scene.name) as healths:
        tenants.deed_of_host("fault", "insert", MODULE)
        tenants.told("fault", "inserted")
        tenants.crowd("crowd", _SIZE, _SECONDS)
        taken = tenants.told("crowd", "ended", 2.0 * SECONDS)["seconds"]
        tenants.delete("crowd")
        found = {one["reason"] for version in healths.versions() for one in findings(version)}
    require_silence(found)
    _require_nothing_done(bench)
    longest = f"the slowest took {max(taken):.1f} s"
    times = f"{len(taken)} times {_SIZE} namespaces ended at once"
    trial.silent(Stage.REPRODUCED, f"{times}, {longest}; all are gone")
    trial.silent(Stage.DETECTED, f"nothing was found in {_SECONDS} s")
    trial.silent(Stage.NAMED, "nothing was found that could be named")
    trial.silent(Stage.TREATED, "no NodeRemediation, no cordon")
    _boot_anew(bench)
    trial.silent(Stage.VERIFIED, "links and namespaces are as before")


def require_silence(found: set[str]) -> None:
    """Raise HarnessError where more was found than the mark of the module."""
    if found - {_MARK}:
        wrong = ", ".join(sorted(found - {_MARK}))
        raise HarnessError(f"of namespaces that are slow to end was found: {wrong}")


def _require_nothing_done(bench: Bench) -> None:
    node = bench.scene.get("node", bench.scene.name)
    if owner(node) or bench.scene.names("noderemediations"):
        raise HarnessError(f"{bench.scene.name} is being treated, and there is nothing to treat")


def _boot_anew(bench: Bench) -> None:
    reboot = {"reboot": {"when": "Now", "method": "Forced"}}
    bench.policy("Auto", [_rule((_MARK,), CORDON, reboot)])
    bench.succeeded(owner(bench.cordoned()), 2.0 * SECONDS)
    bench.given_back()


def _rule(reasons: tuple[str, ...], *actions: Object) -> Object:
    match = {"reasons": list(reasons), "minSeverity": "Info"}
    return {"name": reasons[0].lower(), "match": match, "actions": list(actions)}
