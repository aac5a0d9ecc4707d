"""Why a node is treated or not: the checks with their answers, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kernelhealth_kubectl.pages.moments import until
from kernelhealth_kubectl.pages.table import printable
from kernelhealth_operator.policy.decision import (
    ChangeNode,
    Decision,
    Do,
    OpenRemediation,
    Verdict,
)
from kernelhealth_operator.policy.explaining import Checked, RuleChain
from kernelhealth_operator.policy.situation import Treatment


@dataclass(frozen=True, slots=True)
class PolicyChains:
    """What the rules of one policy say of the node; *standing* says whether it governs it."""

    name: str
    standing: str
    rules: tuple[RuleChain, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """One node: what was decided just now, by which checks, and what the operator last wrote.

    *treated* is what the checks say of the *treatment* that is open, *nothing* what they say where
    there is neither a treatment nor a rule.
    """

    node: str
    health: str
    problems: str
    now: datetime
    decision: Decision
    treatment: Treatment | None
    treated: Checked | None
    policies: tuple[PolicyChains, ...]
    nothing: Checked | None
    notes: tuple[str, ...] = ()


def lines(told: Explained) -> Iterator[str]:
    """Yield the explanation for a person."""
    problems = f" ({printable(told.problems)})" if told.problems else ""
    yield f"Node {told.node}: {told.health}{problems}"
    yield from _outcome(told)
    if told.treatment is not None and told.treated is not None:
        spec = told.treatment.spec
        yield ""
        yield (
            f"NodeRemediation {told.treatment.name}, rule {spec.rule} of policy {spec.policy}: "
            f"{told.treatment.status.phase}"
        )
        yield from _checks(told.treated)
    if told.nothing is not None:
        yield ""
        yield from _checks(told.nothing)
    for policy in told.policies:
        yield ""
        yield f"Policy {policy.name} {policy.standing}"
        for rule in policy.rules:
            yield from _rule(rule)
    for note in told.notes:
        yield ""
        yield f"note: {printable(note)}"


def steps(decision: Decision) -> Iterator[str]:
    """Yield what would be done now, beside keeping the books."""
    for step in decision.steps:
        match step:
            case OpenRemediation(name):
                yield f"open NodeRemediation {name}"
            case Do(_, effect):
                yield _words(type(effect).__name__)
            case ChangeNode():
                yield "change the Node"
            case _:
                continue


def _words(name: str) -> str:
    return "".join(f" {each.lower()}" if each.isupper() else each for each in name).strip()


def _outcome(told: Explained) -> Iterator[str]:
    ahead = list(steps(told.decision))
    if ahead:
        yield f"  next:  {', '.join(ahead)}"
    if told.decision.waiting_for:
        yield f"  waits: {printable(told.decision.waiting_for)}"
    expected = None if told.treatment is None else told.treatment.status.waiting_until
    moment = expected or told.decision.due
    if told.decision.waiting_for and moment is not None:
        how = "until" if expected else "looks again"
        yield f"         {how} {until(moment, told.now)}"
    yield from _written(told)
    if not ahead and not told.decision.waiting_for:
        yield "  nothing is done, and nothing is waited for"


def _written(told: Explained) -> Iterator[str]:
    """Yield what the operator has written, where that is not what follows from how things are."""
    if told.treatment is None:
        return
    written = told.treatment.status.waiting_for
    if written and written != told.decision.waiting_for:
        yield f"  the operator wrote last that it waits: {printable(written)}"


def _rule(chain: RuleChain) -> Iterator[str]:
    reasons = ", ".join(chain.reasons) or "no finding of this node"
    yield f"  Rule {chain.rule} ({chain.mode}): {reasons}"
    if chain.behind is not None:
        yield f"    rule {chain.behind} goes first: it answers what is worse, or stands above"
    yield from _checks(chain.checked if chain.reasons else _against(chain.checked), "  ")


def _against(checked: Checked) -> Checked:
    """Return the noes alone: a rule that is about nothing here has little else to tell."""
    return Checked(
        tuple(each for each in checked.asked if not each.ok),
        tuple(each for each in checked.beyond if not each.ok),
    )


def _checks(checked: Checked, indent: str = "") -> Iterator[str]:
    every = (*checked.asked, *checked.beyond)
    width = max((len(each.check) for each in every), default=0)
    for each in checked.asked:
        yield f"{indent}  {'yes' if each.ok else 'NO':<5} {each.check:<{width}}  {_said(each)}"
    for each in checked.beyond:
        yield f"{indent}  {'(yes)' if each.ok else '(no)':<5} {each.check:<{width}}  {_said(each)}"


def _said(verdict: Verdict) -> str:
    return printable(verdict.message if verdict.ok else str(verdict))
