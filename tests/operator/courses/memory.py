"""What has been said and done so far, as far as promises rest on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kernelhealth_api.v1alpha1.noderemediation import Decision, Phase
from kernelhealth_operator import gather
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.situation import Situation, Treatment

from .pledge import pledge

if TYPE_CHECKING:
    from .world import World

REFUSALS = frozenset({Decision.REJECTED, Decision.CANCELLED})


@dataclass
class Memory:
    """What promises rest on, about a *world*.

    *refused_at* is when a person said no about a node, *uncordoned* are treatments whose cordon a
    person undid, *unwell* is when the operator could last know that a node was, *unheard* are nodes
    at which a leader that is gone has written something since. *landing*: a write arrives late.
    *meddled*: somebody comes between two writes. *rivals*: two operators lead at once.
    """

    world: World
    refused_at: dict[str, datetime] = field(default_factory=dict)
    uncordoned: set[str] = field(default_factory=set)
    unwell: dict[str, datetime] = field(default_factory=dict)
    unheard: set[str] = field(default_factory=set)
    landing: bool = False
    meddled: bool = False
    rivals: bool = False

    def forget(self, name: str) -> None:
        """The node of that name is another one now."""
        self.refused_at.pop(name, None)
        self.unwell.pop(name, None)

    @contextmanager
    def lands(self) -> Iterator[None]:
        """While it lasts a write of somebody who is gone arrives."""
        self.landing = True
        try:
            yield
        finally:
            self.landing = False

    def facts(self, name: str) -> Situation:
        """What the operator that is at work knows right now."""
        fleet = self.world.acting.fleet
        standing = fleet.standing(name)
        pledge(standing, "something is done about a node that the operator does not know")
        assert standing is not None
        facts = gather.situation(fleet, standing, self.world.now, gather.Said())
        return replace(facts, treatment=fleet.open_treatment(name))

    def acts(self, facts: Situation, owner: str) -> Treatment:
        """Whatever is done is done in the name of a treatment that may act."""
        treatment, policy, done = facts.treatment, facts.policy, "something is done although "
        pledge(treatment, f"{done}no treatment is open")
        assert treatment is not None
        pledge(treatment.name == owner, f"{done}another treatment is open")
        pledge(treatment.spec.node_uid == facts.node.uid, f"{done}the node is another one by now")
        pledge(treatment.status.phase is Phase.RUNNING, f"{done}it was not written before")
        pledge(treatment.spec.decision not in REFUSALS, f"{done}a person said no")
        pledge(policy, f"{done}no policy governs the node")
        assert policy is not None
        pledge(policy.name == treatment.spec.policy, f"{done}another policy governs the node")
        pledge(not policy.spec.pause_requests, f"{done}the policy is paused")
        pledge(not policy.problems, f"{done}the policy has mistakes")
        pledge(not facts.node.opted_out, f"{done}the node is exempt")
        mode = match.mode(policy, rule_of(facts, treatment))
        pledge(mode in {"Auto", "Propose"}, f"{done}the rule only observes")
        approved = mode == "Auto" or treatment.spec.decision is Decision.APPROVED
        pledge(approved, f"{done}nobody approved it")
        return treatment


def rule_of(facts: Situation, treatment: Treatment) -> Any:
    """The rule of the policy in force that a treatment is by."""
    rule = facts.policy and match.rule_named(facts.policy, treatment.spec.rule)
    pledge(rule, "something is done by a rule that is no more")
    return rule
