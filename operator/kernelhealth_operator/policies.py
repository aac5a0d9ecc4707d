"""The policies: taken in, judged, and told how they stand, change by change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_operator import kinds, outlook, standings
from kernelhealth_operator.agenda import Agenda
from kernelhealth_operator.cluster.errors import ApiError, Conflict, NotFound, NotLeader
from kernelhealth_operator.executor import replacement
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.held import PolicyView
from kernelhealth_operator.policy.backlog import Outlook
from kernelhealth_operator.policy.problems import Catalogue, problems
from kernelhealth_operator.policy.situation import Outbreak, Policy
from kernelhealth_operator.shelf import Shelf
from kernelhealth_operator.spread import Terms
from kernelhealth_operator.writes import Writes

_LOGGER = logging.getLogger(__name__)
_RETRY = 5.0


@dataclass(slots=True)
class Policies:
    """Policies as the cluster has them; *period* (s) is the least time between status writes."""

    fleet: Fleet
    agenda: Agenda
    writes: Writes
    catalogue: Catalogue
    clock: Clock
    period: float
    views: Shelf[PolicyView] = field(default_factory=Shelf)
    _earliest: dict[str, float] = field(default_factory=dict)

    def take(self, body: Mapping[str, Any]) -> None:
        """Takes in a KernelHealthPolicy; one that cannot be read governs on, but never acts."""
        try:
            view, unread = kinds.policy_of(body), ""
        except ValidationError as error:
            view, unread = kinds.policy_of(kinds.readable_policy(body)), _sentence(error)
        if not self.views.put(view):
            return
        found = problems(view.spec, _fitting(self.catalogue, view.spec), self.clock.utc())
        sentences = (unread,) if unread else tuple(str(one) for one in found)
        known = self.fleet.policies.get(view.name)
        if unread and (known is None or known.problems != sentences):
            _LOGGER.error("KernelHealthPolicy %s: %s", view.name, unread)
        policy = Policy(view.name, view.created, view.generation, view.spec, sentences)
        self.fleet.put_policy(policy)
        self.mark(view.name)

    def drop(self, name: str) -> None:
        """Takes in that a KernelHealthPolicy was deleted."""
        view = self.views.get(name)
        if view is not None:
            self.views.remove(view)
        self._earliest.pop(name, None)
        self.fleet.drop_policy(name)

    def mark(self, name: str) -> None:
        """Wants the status of a policy to be looked at, as soon as it may be written."""
        now = self.clock.seconds()
        self.agenda.at(name, max(now, self._earliest.get(name, now)))

    def outlook(self, policy: Policy) -> Outlook:
        """What the reboots of *policy* have ahead of them at present."""
        typical = self.fleet.pace.typical(policy.name)
        tally = self.fleet.headcount.tally(policy.name)
        return outlook.of(policy, tally, typical, self.clock.utc())

    def outlooks(self) -> Mapping[str, Outlook]:
        """The outlook of every policy, by its name."""
        return {name: self.outlook(policy) for name, policy in self.fleet.policies.items()}

    def storms(self) -> Mapping[str, int]:
        """How many causes are left alone at present, by the name of the policy."""
        now = self.clock.utc()
        known = {name: self._outbreaks(one, now) for name, one in self.fleet.policies.items()}
        return {name: sum(now < each.until for each in found) for name, found in known.items()}

    def _outbreaks(self, policy: Policy, now: datetime) -> tuple[Outbreak, ...]:
        nodes = self.fleet.headcount.tally(policy.name).nodes
        terms = Terms.of(policy.spec.disruption, nodes)
        return self.fleet.outbreaks.all(policy.name, terms, now)

    async def run(self) -> None:
        """Keeps the status of every policy current, until cancelled."""
        for name in self.views:
            self.mark(name)
        while True:
            name = await self.agenda.take()
            try:
                await self._report(name)
            except (Conflict, NotFound):
                self.mark(name)  # The watch brings what is true; then it is compared again.
            except (ApiError, NotLeader) as error:
                _LOGGER.warning("The status of KernelHealthPolicy %s waits: %s", name, error)
                self.agenda.at(name, self.clock.seconds() + _RETRY)
            finally:
                self.agenda.done(name)

    async def _report(self, name: str) -> None:
        view, policy = self.views.get(name), self.fleet.policies.get(name)
        if view is None or policy is None:
            return
        now = self.clock.utc()
        count = self.fleet.headcount
        storms = self._outbreaks(policy, now)
        beside = standings.Beside(count.overridden(name), self.outlook(policy), storms)
        wanted = standings.status(policy, count.tally(name), view.status, now, beside)
        moments = (wanted.next_window, *(one.until for one in storms if one.until > now))
        waits = [(each - now).total_seconds() for each in moments if each is not None]
        if waits:
            self.agenda.at(name, self.clock.seconds() + max(1.0, min(waits)))
        if standings.same(wanted, view.status):
            return
        self._earliest[name] = self.clock.seconds() + self.period
        body = await self.writes.policy_status(name, view.resource_version, replacement(wanted))
        self.take(body)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return (
        f"{where}: cannot be read by this version of the operator ({first['msg']}): "
        "correct it, or run the version that knows it"
    )


def _fitting(catalogue: Catalogue, spec: KernelHealthPolicySpec) -> Catalogue:
    if catalogue.causes:
        return catalogue
    named = frozenset(cause for rule in spec.rules for cause in rule.match.causes)
    return replace(catalogue, causes=named)
