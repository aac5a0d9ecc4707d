"""The status of a policy: counts over its nodes, and what is to be said about the policy itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_api.v1alpha1.resource import Condition, ConditionStatus
from kernelhealth_operator.policy import budget, storm, windows
from kernelhealth_operator.policy.backlog import Outlook
from kernelhealth_operator.policy.situation import Outbreak, Policy, Tally

_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class Beside:
    """What is told beside the counts.

    *overridden* is how many nodes the policy selects that another one governs, *outlook* what its
    reboots have ahead of them, *outbreaks* what has befallen many of its nodes at once.
    """

    overridden: int = 0
    outlook: Outlook = field(default_factory=Outlook)
    outbreaks: tuple[Outbreak, ...] = ()


_NOTHING = Beside()


def status(
    policy: Policy,
    tally: Tally,
    before: KernelHealthPolicyStatus,
    now: datetime,
    beside: Beside = _NOTHING,
) -> KernelHealthPolicyStatus:
    """The status of *policy* whose nodes count *tally*; *before* is what was written last."""
    paused = policy.spec.pause_requests
    allowed = 0
    if not policy.problems and not paused:
        allowed = budget.remediations_allowed(policy.spec.disruption, tally)
    ready = _condition(
        "Ready",
        "False" if policy.problems else "True",
        ("Invalid", "; ".join(policy.problems)) if policy.problems else _valid(beside.overridden),
    )
    stopped = _condition(
        "Paused",
        "True" if paused else "False",
        ("PauseRequested", "; ".join(paused)) if paused else ("NotPaused", ""),
    )
    return KernelHealthPolicyStatus(
        nodes=tally.nodes,
        healthy=tally.healthy,
        warning=tally.warning,
        critical=tally.critical,
        unknown=tally.unknown,
        remediations_allowed=allowed,
        in_progress=tally.in_progress,
        pending=tally.pending,
        overridden=beside.overridden,
        observed_generation=policy.generation,
        next_window=windows.next_of(policy.spec.maintenance_windows, now),
        reboots_waiting=tally.reboots,
        expected_through=beside.outlook.through,
        conditions=tuple(
            _dated(one, before, policy.generation, now)
            for one in (ready, stopped, _storm(beside, now), _short(beside.outlook))
        ),
    )


def _storm(beside: Beside, now: datetime) -> Condition:
    raging = [each for each in beside.outbreaks if now < each.until]
    if raging:
        said = (f"{storm.frozen(each)}: no more of them are treated for it" for each in raging)
        return _condition("StormActive", "True", ("ManyAtOnce", "; ".join(said)))
    if beside.outbreaks:
        said = (f"{each.cause}: {storm.at_once(each)} at once" for each in beside.outbreaks)
        return _condition("StormActive", "False", ("Aftermath", "; ".join(said)))
    return _condition("StormActive", "False", ("Calm", ""))


def _short(outlook: Outlook) -> Condition:
    if outlook.too_short:
        return _condition("WindowTooShort", "True", ("NotThroughInTime", outlook.too_short))
    return _condition("WindowTooShort", "False", ("LongEnough", ""))


def _valid(overridden: int) -> tuple[str, str]:
    if not overridden:
        return "Valid", ""
    what = (
        f"{overridden} of the nodes that it selects are governed by another policy, which is of "
        "higher priority or older: kubectl get nkh -o wide names the policy of each node"
    )
    return "ValidButOverridden", what


def same(left: KernelHealthPolicyStatus, right: KernelHealthPolicyStatus) -> bool:
    """Whether both say the same on the wire, where times have whole seconds."""
    return left.model_dump(mode="json") == right.model_dump(mode="json")


def _condition(kind: str, value: ConditionStatus, why: tuple[str, str]) -> Condition:
    reason, message = why
    # The time is set by whoever knows what was said before.
    return Condition(
        type=kind,
        status=value,
        reason=reason,
        message=message[:_MESSAGE],
        last_transition_time=datetime.min,  # noqa: DTZ901 - replaced below
    )


def _dated(
    one: Condition, before: KernelHealthPolicyStatus, generation: int, now: datetime
) -> Condition:
    held = next((each for each in before.conditions if each.type == one.type), None)
    moved = now if held is None or held.status != one.status else held.last_transition_time
    changes = {"last_transition_time": moved, "observed_generation": generation}
    return one.model_copy(update=changes)
