"""All that is known of the cluster: narrow values, and counts kept current at O(1) per event."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from kernelhealth_operator.ailments import illness, matched_since
from kernelhealth_operator.cluster.views import NodeView
from kernelhealth_operator.headcount import Headcount, Listener, Standing
from kernelhealth_operator.held import HealthView
from kernelhealth_operator.obituary import Obituary
from kernelhealth_operator.outbreak import Outbreaks
from kernelhealth_operator.pace import Pace
from kernelhealth_operator.policy import queue, select
from kernelhealth_operator.policy import tally as counts
from kernelhealth_operator.policy.situation import Policy, Treatment
from kernelhealth_operator.reports import node_of_view, report_of
from kernelhealth_operator.shelf import Shelf
from kernelhealth_operator.silence import Arrival, Hearing, arrive


@dataclass(frozen=True, slots=True)
class Clock:
    """Both of the operator's clocks: UTC for what is written, monotonic seconds for waiting."""

    utc: Callable[[], datetime]
    seconds: Callable[[], float]


class Fleet:
    """Nodes, their reports, policies and treatments, and what follows from them.

    Whatever comes in, a watch event or the answer to a write, goes through the same ``put``: what
    is older than what is known changes nothing. Nothing here is ever written to the cluster.
    *reasons* says for each type of condition which reasons of findings it stands for; *unreadable*
    are the nodes whose newest report does not fit the schema.
    """

    def __init__(
        self,
        clock: Clock,
        hearing: Hearing,
        listener: Listener,
        reasons: Mapping[str, frozenset[str]],
        unreadable: Container[str] = (),
    ) -> None:
        self._clock = clock
        self._hearing = hearing
        self._listener = listener
        self._reasons = reasons
        self._unreadable = unreadable
        self.nodes: Shelf[NodeView] = Shelf()
        self.healths: Shelf[HealthView] = Shelf()
        self.treatments: Shelf[Treatment] = Shelf()
        self._policies: dict[str, Policy] = {}
        self._treated: dict[str, dict[str, None]] = {}
        self._arrivals: dict[str, Arrival] = {}
        self._standings: dict[str, Standing] = {}
        self.headcount = Headcount(listener)
        self.pace, self.outbreaks, self.ended = Pace(), Outbreaks(clock.utc()), Obituary()

    @property
    def policies(self) -> Mapping[str, Policy]:
        """All policies by name."""
        return self._policies

    def names(self) -> Iterator[str]:
        """Every name under which there is anything to look after."""
        return iter(dict.fromkeys([*self.nodes, *self._treated]))

    def standing(self, name: str) -> Standing | None:
        """What follows for the node of that name, None where there is no such node."""
        return self._standings.get(name)

    def standings(self) -> Iterable[Standing]:
        """What follows for each node."""
        return self._standings.values()

    def treatments_of(self, name: str) -> tuple[Treatment, ...]:
        """All treatments of a node, newest first."""
        found = [one for each in self._treated.get(name, ()) if (one := self.treatments.get(each))]
        return tuple(sorted(found, key=lambda one: (one.created, one.name), reverse=True))

    def open_treatment(self, name: str) -> Treatment | None:
        """The treatment of the node that has not ended; the oldest, should there be several."""
        unfinished = (one for one in self.treatments_of(name)[::-1] if not one.status.phase.final)
        return next(unfinished, None)

    def silence_due(self, name: str) -> float:
        """When (monotonic seconds) the node's agent will count as silent."""
        arrival = self._arrivals.get(name)
        return float("inf") if arrival is None else self._hearing.due(arrival)

    def put_node(self, view: NodeView) -> None:
        """Takes in a Node."""
        before = self.nodes.get(view.name)
        if self.nodes.put(view) and before != view:
            self.refresh(view.name)
            self._listener.node(view.name)

    def drop_node(self, view: NodeView) -> None:
        """Takes in that a Node was deleted."""
        held = self.nodes.get(view.name)
        self.nodes.remove(view, reborn=held is not None and held.uid != view.uid)
        self.refresh(view.name)
        self._listener.node(view.name)

    def put_health(self, view: HealthView) -> None:
        """Takes in a NodeKernelHealth."""
        before = self.healths.get(view.name)
        if self.healths.put(view) and before != view:
            self.refresh(view.name)
            self._listener.node(view.name)

    def drop_health(self, view: HealthView) -> None:
        """Takes in that a NodeKernelHealth was deleted."""
        held = self.healths.get(view.name)
        self.healths.remove(view, reborn=held is not None and held.uid != view.uid)
        self.refresh(view.name)
        self._listener.node(view.name)

    def put_treatment(self, one: Treatment) -> None:
        """Takes in a NodeRemediation."""
        if self.treatments.put(one):
            self.ended.withdraw(one)
            self.pace.note(one)
            self.outbreaks.note(one)
            self._treated.setdefault(one.spec.node_name, {})[one.name] = None
            self.refresh(one.spec.node_name)
            self._listener.node(one.spec.node_name)

    def drop_treatment(self, one: Treatment) -> None:
        """Takes in that a NodeRemediation was deleted."""
        name = one.spec.node_name
        self.treatments.remove(one)
        self.ended.note(one)
        self.outbreaks.forget(one)
        self._treated.get(name, {}).pop(one.name, None)
        if not self._treated.get(name):
            self._treated.pop(name, None)
        self.refresh(name)
        self._listener.node(name)

    def put_policy(self, policy: Policy) -> None:
        """Takes in a policy; only another spec or other problems change anything."""
        if self._policies.get(policy.name) != policy:
            self._policies[policy.name] = policy
            self._resolve(policy.name)
            self._listener.policy(policy.name)

    def drop_policy(self, name: str) -> None:
        """Takes in that a policy was deleted."""
        if self._policies.pop(name, None) is not None:
            self._resolve(name)

    def refresh(self, name: str) -> Standing | None:
        """Works out anew what follows for one node; also to be called when time has passed."""
        before, after = self._standings.get(name), self._work_out(name)
        if after is None:
            self._standings.pop(name, None)
            self._arrivals.pop(name, None)
        else:
            self._standings[name] = after
        self.headcount.move(name, before, after)
        for policy in self.outbreaks.move(name, before, after, self._clock.utc()):
            self._listener.policy(policy)
        return after

    def _resolve(self, policy: str) -> None:
        """After a change of *policy*: O(nodes), which policies change seldom enough for."""
        for name in [*self.nodes]:
            before, after = self._standings.get(name), self.refresh(name)
            if policy in {before and before.policy, after and after.policy}:
                self._listener.node(name)

    def _work_out(self, name: str) -> Standing | None:
        view = self.nodes.get(name)
        if view is None:
            return None
        node, health = node_of_view(view), self._health_of(view)
        seconds, now = self._clock.seconds(), self._clock.utc()
        before, arrival = self._standings.get(name), self._arrivals.get(name)
        self._arrivals[name] = arrival = arrive(arrival, view.uid, health, seconds, now)
        # What was sent last could not be read: what is held is old news.
        silent = self._hearing.silent(arrival, seconds) or name in self._unreadable
        report = report_of(health, silent, arrival.time, self._reasons, now)
        found = select.select(self._policies.values(), node.labels)
        policy, losers = found.policy, tuple(one.name for one in found.losers)
        treatment = self.open_treatment(name)
        share, place = counts.share(node, report, treatment), queue.place(treatment, report)
        governing = None if policy is None else policy.name
        matched, ill = (each(before, policy, report, now) for each in (matched_since, illness))
        return Standing(node, report, governing, share, silent, matched, losers, place, ill)

    def _health_of(self, view: NodeView) -> HealthView | None:
        """The node's object, unless it still belongs to an earlier node of the same name."""
        health = self.healths.get(view.name)
        return None if health is None or health.owner_uid not in {None, view.uid} else health
