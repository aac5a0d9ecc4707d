"""What the API server demands of a NodeRemediation: it stays what it was, but for the decision."""

from __future__ import annotations

from kernelhealth_api.schema import Schema
from kernelhealth_api.v1alpha1.noderemediation import Phase
from kernelhealth_build.catalogue import Catalogue, action
from kernelhealth_build.ladder_rules import exactly_one
from kernelhealth_build.policy_rules import durations
from kernelhealth_build.validations import Validation, at, limit_strings, require

_FINAL = ", ".join(f"'{phase}'" for phase in Phase if phase.final)


def constrain(spec: Schema, catalogue: Catalogue) -> None:
    """Put every demand on the schema of the spec."""
    limit_strings(spec, 253)
    names = [action(remediation) for remediation in catalogue.remediations]
    require(spec, "plan[]", exactly_one(names))
    for remediation in catalogue.remediations:
        durations(at(spec, f"plan[].{action(remediation)}"))
    for name in spec["properties"]:
        if name != "decision":
            require(spec, "", _unchanged(name, optional=name not in spec["required"]))
    require(spec, "decision", *_decisions())


def ended() -> Validation:
    """Return the demand on the whole object that nobody decides about what has ended."""
    return Validation(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || "
        f"!(oldSelf.status.phase in [{_FINAL}]) || "
        "self.spec.decision == oldSelf.spec.decision",
        "decision cannot change any more, since the treatment has ended",
        ".spec.decision",
    )


def _unchanged(name: str, *, optional: bool) -> Validation:
    mine, old = f"self.{name}", f"oldSelf.{name}"
    same = f"{mine} == {old}"
    if optional:
        same = f"has({mine}) == has({old}) && (!has({mine}) || {same})"
    message = f"{name} cannot be changed: only decision can; a new incident gets a new object"
    return Validation(same, message, f".{name}")


def _decisions() -> tuple[Validation, ...]:
    return (
        Validation(
            "!(oldSelf in ['Rejected', 'Cancelled']) || self == oldSelf",
            "decision is final once it is Rejected or Cancelled; a new incident gets a new object",
        ),
        Validation(
            "oldSelf != 'Approved' || self != 'Pending'",
            "decision cannot go back from Approved to Pending: set Cancelled to end the treatment",
        ),
    )
