"""What the API server demands of the actions of a rule, and of the plan that comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_build.validations import Validation

_SHUTTING = ("cordon", "taint")


def exactly_one(names: Iterable[str]) -> Validation:
    """Return the demand that an entry of a ladder holds one of *names* and no other."""
    choices = sorted(names)
    present = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in choices) or "0"
    return Validation(
        f"{present} == 1",
        f"actions: each entry must name exactly one action, one of {', '.join(choices)}",
    )


def once(names: Iterable[str]) -> Iterator[Validation]:
    """Yield the demands that none of *names* is there twice."""
    for name in names:
        yield Validation(
            f"self.filter(a, has(a.{name})).size() <= 1",
            f"actions: {name} must be there only once; a repetition would do nothing",
        )


def shut_first(names: Iterable[str]) -> Iterator[Validation]:
    """Yield the demand that a node is closed to new pods before it is emptied."""
    known = set(names)
    closed = " || ".join(f"has(a.{name})" for name in _SHUTTING if name in known) or "false"
    shut = f"self.map(a, {closed}).indexOf(true)"
    if "drain" in known:
        yield Validation(
            "!self.exists(a, has(a.drain)) || "
            f"({shut} >= 0 && {shut} < self.map(a, has(a.drain)).indexOf(true))",
            "actions: drain must come after cordon or taint; the pods would come back otherwise",
        )
