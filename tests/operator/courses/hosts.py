"""A model of a host and its agent: it does each request at most once, and may die at any point.

What it stands for: the agent with its journal, which is on the disk before the first deed and goes
with the boot. What was done is counted beside the journal, so that a second time would be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kernelhealth_api.v1alpha1.request import HostRequest, RequestState

LEAK, PIN, RESIDUE = "NetworkNamespaceLeaked", "UseGssProxyInContainer", "ResidualPodLink"
CURES = {
    LEAK: ("UnloadRpcGssModule", "UnmountNamespace", "Reboot"),
    PIN: ("DisableKernelNfsd", "BlockRpcGssModule"),
    RESIDUE: ("DeleteResidualLink", "Reboot"),
}
TYPES = {LEAK: "NamespacesHealthy", PIN: "GssHealthy", RESIDUE: "LinksHealthy"}
REASONS = {condition: frozenset({reason}) for reason, condition in TYPES.items()}
"""For each type of condition the reasons that it stands for."""


@dataclass
class Host:
    """One host; *reasons* are what its kernel suffers from, *stubborn* says that no cure helps.

    *clock* is how far its clock is ahead. *deed* is told of each request right before it is done.
    """

    boot: str
    booted: datetime
    deed: Callable[[HostRequest], None]
    boots: int = 0
    reasons: frozenset[str] = frozenset()
    unmeasured: frozenset[str] = frozenset()
    stubborn: bool = False
    clock: timedelta = timedelta(0)
    journal: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    answer: dict[str, Any] | None = None

    def status(self, now: datetime) -> dict[str, Any]:
        """What the agent reports."""
        findings = [
            {
                "reason": each,
                "severity": "Critical",
                "message": each,
                "since": _wire(self.booted),
                "cures": list(CURES[each]),
            }
            for each in sorted(self.reasons - self.unmeasured)
        ]
        return {
            "health": "Critical" if findings else "Healthy",
            "findings": findings,
            "conditions": [self._condition(reason) for reason in TYPES],
            "bootID": self.boot,
            "bootTime": _wire(self.booted),
            "lastReportTime": _wire(now + self.clock),
            "request": self.answer,
        }

    def work(self, request: HostRequest, now: datetime, dies: str = "") -> None:
        """Do what is asked, as far as it gets: it *dies* before the deed, or after it."""
        if request.id in self.journal:
            self._look(request)
            return
        if against := self._objection(request, now + self.clock):
            self._say(request, RequestState.REFUSED, against)
            return
        self.journal.add(request.id)
        if dies == "before":
            return
        self.done[request.id] += 1
        self.deed(request)
        if request.action.reboot is not None:
            self.reboot(now)
            return
        if not self.stubborn:
            self.reasons -= self._aims(request)
        if dies != "after":
            self._look(request)

    def reboot(self, now: datetime) -> None:
        """Begin anew: what the kernel lost is found again, and the journal is gone."""
        self.boots += 1
        self.boot, self.booted = f"{self.boot.split('.')[0]}.{self.boots}", now
        self.journal.clear()
        self.answer = None
        if not self.stubborn:
            self.reasons -= {LEAK, RESIDUE}

    def _look(self, request: HostRequest) -> None:
        if self._aims(request):
            self._say(request, RequestState.FAILED, "It was interrupted, or did not help.")
        else:
            self._say(request, RequestState.SUCCEEDED, "It helped.")

    def _objection(self, request: HostRequest, now: datetime) -> str:
        if request.boot_id != self.boot:
            return "The node has booted since."
        if now > request.deadline:
            return "It came too late."
        if request.action.reboot is None and not self._aims(request):
            return "There is nothing to do it to."
        return ""

    def _aims(self, request: HostRequest) -> frozenset[str]:
        fixing = request.action.fix_config or request.action.reclaim
        if fixing is None:
            return frozenset()
        meant = (each for each in self.reasons if each in fixing.reasons)
        return frozenset(each for each in meant if fixing.fix in CURES[each])

    def _condition(self, reason: str) -> dict[str, str]:
        status, why = ("False", reason) if reason in self.reasons else ("True", "Healthy")
        if reason in self.unmeasured:
            status, why = "Unknown", "ReadingFailed"
        stamp = {"message": "", "lastTransitionTime": _wire(self.booted)}
        return {"type": TYPES[reason], "status": status, "reason": why, **stamp}

    def _say(self, request: HostRequest, state: RequestState, message: str) -> None:
        self.answer = {"id": request.id, "state": state.value, "message": message}


def _wire(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
