"""What people do: cordon, uncordon, approve, cancel, delete, pause and edit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import hypothesis.strategies as st
from hypothesis.stateful import rule

from kernelhealth_api.remediation import CORDONED_BY
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption, Mode
from kernelhealth_api.v1alpha1.noderemediation import (
    Decision,
    NodeRemediationStatus,
    RungState,
)
from kernelhealth_api.v1alpha1.selector import LabelSelector
from kernelhealth_operator.kinds import REMEDIATIONS
from kernelhealth_operator.policy.reprieve import LET_BE
from kernelhealth_operator.policy.situation import Policy, Treatment

from .memory import REFUSALS
from .nature import Nature, names
from .plans import START, spec

EDITS = (
    *("restore", "restore", "restore"),
    *("pause", "spoil", "remove a rule", "spare the control plane", "rename", "delete"),
)


class People(Nature):
    """People who know nothing of the operator's state, and whose word counts."""

    @rule(name=names)
    def person_cordons(self, name: str) -> None:
        self.world.chronicle.note("a person cordoned")
        if self._leaves_no_trace(name):
            del self.world.promises.memory.refused_at[name]
        self.edit(name, {"spec": {"unschedulable": True}})

    @rule(name=names)
    def person_uncordons_and_cordons_again(self, name: str) -> None:
        """Which makes the cordon another one, though it looks the same."""
        if "unschedulable" in self.world.server.nodes.get(name, {}).get("spec", {}):
            self.person_uncordons(name)
            self.person_cordons(name)

    @rule(name=names)
    def person_uncordons(self, name: str) -> None:
        world, node = self.world, self.world.server.nodes.get(name)
        if node is None or not node["spec"].get("unschedulable"):
            return
        world.chronicle.note("a person uncordoned")
        memory, treatment = world.promises.memory, world.open(name)
        owner = node["metadata"]["annotations"].get(CORDONED_BY)
        memory.uncordoned |= {owner} if owner else set()
        if treatment is not None and (owner == treatment.name or _borne(treatment.status.rungs)):
            memory.uncordoned.add(treatment.name)
            memory.refused_at[name] = world.now
        if treatment is not None and self._may_yet_be_borne(treatment.name):
            # That it was found cordoned may be written after it is uncordoned, by whoever is gone.
            memory.uncordoned.add(treatment.name)
        self.edit(name, {"spec": {"unschedulable": None}})

    @rule(name=names, word=st.sampled_from(list(Decision)))
    def person_decides(self, name: str, word: Decision) -> None:
        treatment = self.world.open(name)
        if treatment is None or treatment.spec.decision in REFUSALS:
            return
        stored = self.world.server.remediations
        self.world.server.edit(stored, treatment.name, {"spec": {"decision": word.value}})
        refused = word in REFUSALS
        if refused or word is Decision.APPROVED:
            self.world.chronicle.note(f"a person {'cancelled' if refused else 'approved'}")
        if refused and self._is_there(name, treatment.spec.node_uid):
            self.world.promises.memory.refused_at[name] = self.world.now

    @rule(name=names)
    def person_deletes_the_treatment_and_the_operator_looks(self, name: str) -> None:
        self.person_deletes_the_treatment(name)
        for _ in range(4):
            self.world.look_at_everything()

    @rule(name=names)
    def person_deletes_the_treatment(self, name: str) -> None:
        treatment = self.world.open(name)
        if treatment is None:
            return
        self.world.chronicle.note("a person deleted a treatment")
        del self.world.server.remediations[treatment.name]
        refused = self.world.promises.memory.refused_at
        if self._is_there(name, treatment.spec.node_uid) and self._was_told(name, treatment):
            refused[name] = self.world.now
        elif name in refused and not self._is_noted(name):
            # Nobody has heard the word, and the object that had it is gone.
            del refused[name]
        # Times on the wire have whole seconds, and no person is faster than that.
        self.world.server.now += timedelta(seconds=1)

    @rule(name=names)
    def person_deletes_what_has_ended(self, name: str) -> None:
        """Whose no has been heard by then, and stands."""
        for one in self.world.treatments(name):
            if one.status.phase.final:
                del self.world.server.remediations[one.name]
        self.world.server.now += timedelta(seconds=1)

    @rule(
        mode=st.sampled_from((*Mode, Mode.AUTO, Mode.AUTO)),
        most=st.integers(0, 3),
        least=st.integers(0, 4),
        zone=st.sampled_from((None, None, 1)),
    )
    def person_edits_the_policy(self, mode: Mode, most: int, least: int, zone: int | None) -> None:
        self.world.chronicle.note("a person changed the policy")
        disruption = Disruption(
            max_unavailable=most, min_healthy=least, max_unavailable_per_zone=zone
        )
        changed = spec(self.world.plan, mode=mode, disruption=disruption)
        self.world.rule(Policy("all", START, 1, changed))

    @rule(what=st.sampled_from(EDITS))
    def person_changes_the_policy_otherwise(self, what: str) -> None:
        plan = self.world.plan
        old = self.world.policy or Policy("all", START, 1, spec(plan))
        paused = old.spec.model_copy(update={"pause_requests": ("ann: upgrade",)})
        self.world.chronicle.note(
            f"a person {'paused' if what == 'pause' else 'changed'} the policy"
        )
        match what:
            case "restore":
                self.world.rule(Policy("all", START, 1, spec(plan)))
            case "pause":
                self.world.rule(Policy(old.name, START, 1, paused, old.problems))
            case "spoil":
                self.world.rule(Policy(old.name, START, 1, old.spec, ("no such reason",)))
            case "remove a rule":
                changed = spec(plan, rules=spec(plan).rules[1:])
                self.world.rule(Policy("all", START, 1, changed))
            case "spare the control plane":
                unnamed = spec(plan, node_selector=LabelSelector())
                self.world.rule(Policy("all", START, 1, unnamed))
            case "rename":
                self.world.rule(Policy("other", START, 1, spec(plan)))
            case _:
                self.world.rule(None)

    def _leaves_no_trace(self, name: str) -> bool:
        """Whether a cordon that is put back takes back the no that it was to undo it.

        It does where it was a person's all along, and nobody looked in between: the Node is as it
        was. Ours, with its mark, would not be: then its manager is another one.
        """
        treatment, node = self.world.open(name), self.world.server.nodes.get(name)
        if treatment is None or node is None or node["spec"].get("unschedulable"):
            return False
        ours = node["metadata"]["annotations"].get(CORDONED_BY) == treatment.name
        said = name in self.world.promises.memory.refused_at and _borne(treatment.status.rungs)
        by_word = treatment.spec.decision in REFUSALS
        return said and not (ours or by_word or self._is_noted(name))

    def _may_yet_be_borne(self, treatment: str) -> bool:
        """Whether a write that is late would say that a cordon is part of the treatment."""
        path = f"{REMEDIATIONS}/{treatment}/status"
        late = (write.body["status"] for write in self.world.late if write.path == path)
        return any(_borne(NodeRemediationStatus.model_validate(status).rungs) for status in late)

    def _is_there(self, name: str, uid: str) -> bool:
        node = self.world.server.nodes.get(name)
        return node is not None and bool(node["metadata"]["uid"] == uid)

    def _was_told(self, name: str, treatment: Treatment) -> bool:
        """Whether the object of the node names the treatment, and the leader knows that it does."""
        stored = self.world.server.healths.get(name, {}).get("status", {}).get("remediation")
        held = self.world.replica.fleet.healths.get(name)
        known = held.remediation.name if held and held.remediation else None
        return bool(stored) and stored["name"] == treatment.name == known

    def _is_noted(self, name: str) -> bool:
        node = self.world.server.nodes.get(name)
        return node is not None and LET_BE in node["metadata"]["annotations"]


def _borne(rungs: Iterable[RungState]) -> bool:
    """Whether the cordon of a Node, whoever put it there, counts as part of its treatment."""
    return any(one.action == "cordon" and one.state in {"Done", "Reverting"} for one in rungs)
