"""What is promised about requests to agents, and about what hosts do for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from kernelhealth_api import cures
from kernelhealth_api.v1alpha1.request import Fixing, HostRequest
from kernelhealth_operator.policy.situation import Situation, Treatment

from .memory import Memory
from .pledge import pledge

OPENS, CLOSES = 2, 6
"""The hours between which the maintenance window is open each day, in UTC."""


class Requests:
    """Looks at each request right before it is written, and at each deed right before it is done.

    A request is known by the birth of its treatment, the place in the plan, what it asks for, and
    the boot: these shall lead to one deed at most, and to one id.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory, self._world = memory, memory.world
        self._wanted: dict[str, tuple[Any, ...]] = {}
        self._deeds: dict[tuple[Any, ...], str] = {}
        self._births: dict[str, str] = {}

    def born(self, treatment: str, uid: str) -> None:
        """A treatment of that name was stored."""
        self._births[treatment] = uid

    def asked(self, name: str, request: HostRequest) -> None:
        """Object to a request that must not be."""
        if self._memory.landing:
            return
        facts = self._memory.facts(name)
        treatment = facts.treatment
        pledge(treatment, "an agent is asked in nobody's name")
        assert treatment is not None
        self._memory.acts(facts, treatment.name)
        index, action = _rung(treatment, request.id)
        ((_, given),) = treatment.spec.plan[index].items()
        pledge(request.boot_id == facts.node.boot_id, "a request is for another boot")
        pledge(request.deadline > self._world.now, "a request is too late before it is sent")
        fixing = request.action.fix_config or request.action.reclaim
        what = fixing.fix if fixing else "reboot"
        means = (self._births.get(treatment.name), index, what, request.boot_id)
        pledge(self._wanted.setdefault(request.id, means) == means, "an id means two things")
        if fixing is not None:
            _cure(facts, action, given, fixing)
            return
        pledge(action == "reboot", "a reboot is asked for that is not in the plan")
        if given.get("when") == "MaintenanceWindow":
            pledge(in_window(self._world.now), "a reboot is asked for outside its window")
            pledge(in_window(request.deadline), "a reboot may begin outside its window")

    def deed(self, name: str, request: HostRequest) -> None:
        """Object to something that a host does."""
        host = self._world.hosts[name]
        pledge(host.done[request.id] <= 1, "two host actions for one request")
        means = self._wanted.get(request.id)
        if means is not None:
            once = self._deeds.setdefault(means, request.id) == request.id
            pledge(once, "two host actions for the same under two ids")
        if request.action.reboot is None:
            self._world.chronicle.note("an agent did a cure")
            return
        treatments = [one for one in self._world.treatments(name) if means is not None]
        plans = [one.spec.plan[means[1]] for one in treatments if _of(request, one)]  # type: ignore[index]
        booked = any(one.get("reboot", {}).get("when") == "MaintenanceWindow" for one in plans)
        if booked:
            inside = in_window(self._world.now + host.clock)
            pledge(inside, "a host boots outside its window")
        note = "an agent rebooted in a window" if booked else "an agent rebooted at once"
        self._world.chronicle.note(note)


def in_window(moment: datetime) -> bool:
    """Whether the maintenance window is open."""
    opens = moment.replace(hour=OPENS, minute=0, second=0)
    return opens <= moment <= opens + timedelta(hours=CLOSES - OPENS)


def _of(request: HostRequest, treatment: Treatment) -> bool:
    return request.id.startswith(treatment.name)


def _rung(treatment: Treatment, request: str) -> tuple[int, str]:
    for index, rung in enumerate(treatment.status.rungs):
        if rung.state == "Running" and rung.requests[-1:] == (request,):
            return index, rung.action
    raise AssertionError("a request was sent before it was written down")


def _cure(facts: Situation, action: str, given: dict[str, Any], fixing: Fixing) -> None:
    cure = cures.named(fixing.fix)
    pledge(cure, "a cure is asked for that is not catalogued")
    assert cure is not None
    pledge(cure.stage.value == action, "a cure of another kind is asked for")
    allowed = not cure.risky or fixing.fix in given.get("fixes", ())
    pledge(allowed, "a risky cure is asked for that the policy does not name")
    findings = () if facts.report is None else facts.report.findings
    known = {found.reason for found in findings if fixing.fix in found.cures}
    pledge(known & set(fixing.reasons), "a cure is asked for what is not there")
