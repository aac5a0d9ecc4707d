"""An open treatment together with all that decides about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.finding import Finding
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Rule
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationStatus, RungState
from kernelhealth_operator.policy import match
from kernelhealth_operator.policy.decision import SetStatus
from kernelhealth_operator.policy.situation import Situation, Treatment

PENDING = "Pending"
"""State of an action that was not taken yet."""
RUNNING = "Running"
"""State of an action that takes its time and has begun."""
FAILED = "Failed"
"""State of an action that was given up: it could not be done, or took too long."""
SKIPPED = "Skipped"
"""State of an action for which there was nothing to do."""
DONE = "Done"
"""State of an action that was taken."""
REVERTING = "Reverting"
"""State of an action that was taken and is about to be undone by us."""
REVERTED = "Reverted"
"""State of an action that was taken and undone by us."""
OVERRULED = "Overruled"
"""State of an action that was taken and undone by a person."""


@dataclass(frozen=True, slots=True)
class Case:
    """The situation of a node whose *treatment* is open."""

    situation: Situation
    treatment: Treatment
    remediations: Mapping[str, Remediation[Any]]

    @property
    def status(self) -> NodeRemediationStatus:
        """How far the treatment has come."""
        return self.treatment.status

    @property
    def rule(self) -> Rule | None:
        """The rule that asked for the treatment, as it stands in the policy today."""
        policy = self.situation.policy
        if policy is None or policy.name != self.treatment.spec.policy:
            return None
        return match.rule_named(policy, self.treatment.spec.rule)

    @property
    def own(self) -> tuple[Finding, ...]:
        """The findings that the treatment is for, as far as they are still reported."""
        policy, rule, report = self.situation.policy, self.rule, self.situation.report
        return match.own(policy, rule, report) if policy and rule and report else ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What keeps the treatment open: its own findings; once it has done something, any."""
        policy, report = self.situation.policy, self.situation.report
        if self.having(DONE) or self.having(REVERTING):
            others = match.unresolved(policy, report) if policy and report else ()
            return (*others, *(found for found in self.own if found not in others))
        return self.own

    def known(self) -> Iterator[tuple[int, Remediation[Any]]]:
        """Yield the position and the remediation of each action of the plan that we know."""
        for index, step in enumerate(self.treatment.spec.plan):
            for action in step:
                if remediation := self.remediations.get(action):
                    yield index, remediation

    def marks(self) -> Iterator[tuple[int, Remediation[Any]]]:
        """Yield those of ``known`` that are marks of the node, and no procedures."""
        return (each for each in self.known() if each[1].procedure is None)

    def having(self, state: str) -> bool:
        """Whether an action of the plan is in *state*."""
        return any(rung.state == state for rung in self.status.rungs)

    def changed(self, *before: str, to: str) -> tuple[RungState, ...]:
        """Return the actions of the plan, with those in a state of *before* now in the state *to*.

        Only marks that the node bears can be taken back or overruled; what was gone through stays
        done.
        """
        update = {"state": to, "finished_at": self.situation.now}
        lasting = {i for i, each in self.known() if each.procedure is not None}
        return tuple(
            rung.model_copy(update=update) if rung.state in before and i not in lasting else rung
            for i, rung in enumerate(self.status.rungs)
        )

    def write(self, **changes: object) -> SetStatus:
        """Return the step that changes these fields of the status.

        Until when it waits is said anew each time it is said for what.
        """
        if "waiting_for" in changes:
            changes = {"waiting_until": None, **changes}
        status = self.status.model_copy(update=changes)
        return SetStatus(self.treatment.name, self.treatment.resource_version, status)
