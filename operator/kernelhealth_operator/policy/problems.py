"""What is wrong with a policy beyond what its schema can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    Disruption,
    KernelHealthPolicySpec,
    MaintenanceWindow,
    Match,
    Mode,
)
from kernelhealth_operator.policy import budget, windows


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: *field* as ``spec.rules[0].match``, and a sentence with the cure."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a policy may name.

    *detectors* gives the parameters of each detector, both as the custom resources spell them.
    """

    reasons: frozenset[str]
    causes: frozenset[str]
    detectors: Mapping[str, frozenset[str]]
    remediations: tuple[Remediation[Any], ...]


def problems(
    spec: KernelHealthPolicySpec, catalogue: Catalogue, now: datetime
) -> tuple[Problem, ...]:
    """Return all that is wrong with *spec*, in the order of its fields; empty: it is Ready."""
    return (
        *_detectors(spec.detectors, catalogue),
        *_rules(spec, catalogue),
        *_disruption(spec),
        *_windows(spec.maintenance_windows, now),
    )


def _detectors(
    detectors: Mapping[str, Mapping[str, Any]], catalogue: Catalogue
) -> Iterator[Problem]:
    for name, parameters in detectors.items():
        where = f"spec.detectors.{name}"
        known = catalogue.detectors.get(name)
        if known is None:
            yield _unknown(where, "detector", name, catalogue.detectors)
            continue
        for parameter in parameters:
            if parameter not in known:
                what = f"parameter of {name}"
                yield _unknown(f"{where}.{parameter}", what, parameter, known)


def _rules(spec: KernelHealthPolicySpec, catalogue: Catalogue) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, rule in enumerate(spec.rules):
        where = f"spec.rules[{index}]"
        if (earlier := first.setdefault(rule.name, index)) != index:
            yield Problem(
                f"{where}.name",
                f"{rule.name!r} is the name of spec.rules[{earlier}] already: give each its own",
            )
        yield from _match(rule.match, f"{where}.match", catalogue)
        for rung, action in enumerate(rule.actions):
            yield from _action(action, f"{where}.actions[{rung}]", spec, catalogue)
        if rule.match.uptime is not None and not any("reboot" in one for one in rule.actions):
            yield Problem(f"{where}.actions", "reboot nothing, so that it stays as old: add reboot")


def _match(match: Match, where: str, catalogue: Catalogue) -> Iterator[Problem]:
    if not match.reasons and not match.causes and match.uptime is None:
        yield Problem(
            where,
            "names neither reasons nor causes nor an uptime, so that it never matches: add one",
        )
    for index, reason in enumerate(match.reasons):
        if reason not in catalogue.reasons:
            yield _unknown(f"{where}.reasons[{index}]", "reason", reason, catalogue.reasons)
    for index, cause in enumerate(match.causes):
        if cause not in catalogue.causes:
            yield _unknown(f"{where}.causes[{index}]", "cause", cause, catalogue.causes)


def _action(
    action: Mapping[str, Mapping[str, Any]],
    where: str,
    spec: KernelHealthPolicySpec,
    catalogue: Catalogue,
) -> Iterator[Problem]:
    known = {remediation.name: remediation for remediation in catalogue.remediations}
    if len(action) != 1:
        yield Problem(where, f"has {len(action)} actions: write exactly one in each entry")
    for name, parameters in action.items():
        if name not in known:
            yield _unknown(f"{where}.{name}", "action", name, known)
            continue
        try:
            settings = known[name].settings.model_validate(parameters)
        except ValidationError as error:
            for each in error.errors():
                field = ".".join([where, name, *(str(part) for part in each["loc"])])
                yield Problem(field, f"is refused by {name}: {each['msg']}")
            continue
        if flaw := known[name].flaw(settings, spec):
            yield Problem(f"{where}.{name}", flaw)


def _disruption(spec: KernelHealthPolicySpec) -> Iterator[Problem]:
    values = []
    for field, attribute in (("maxUnavailable", "max_unavailable"), ("minHealthy", "min_healthy")):
        value = getattr(spec.disruption, attribute)
        try:
            values.append(budget.fewest_sound(value, 100))
        except budget.NotAShareError as error:
            yield Problem(f"spec.disruption.{field}", str(error))
    zone = spec.disruption.max_unavailable_per_zone
    if zone is not None:
        yield from _zone(zone, spec)
    if len(values) == 2 and _acts(spec) and _never(spec.disruption):
        yield Problem(
            "spec.disruption.maxUnavailable",
            "allows no node to be unavailable although the mode is Auto: "
            "allow at least one, or choose the mode Observe",
        )


def _zone(value: str | int, spec: KernelHealthPolicySpec) -> Iterator[Problem]:
    where = "spec.disruption.maxUnavailablePerZone"
    try:
        most = budget.most_unavailable(value, 1)
    except budget.NotAShareError as error:
        yield Problem(where, str(error))
        return
    if not most and _acts(spec):
        what = "allows no node to be unavailable although the mode is Auto: allow at least one"
        yield Problem(where, what)


def _acts(spec: KernelHealthPolicySpec) -> bool:
    return Mode.AUTO in {spec.mode, *(rule.mode for rule in spec.rules)}


def _never(disruption: Disruption) -> bool:
    return budget.most_unavailable(disruption.max_unavailable, 1) == 0


def _windows(openings: Iterable[MaintenanceWindow], now: datetime) -> Iterator[Problem]:
    for index, window in enumerate(openings):
        where = f"spec.maintenanceWindows[{index}]"
        try:
            opening = windows.next_opening(window, now)
        except windows.WindowError as error:
            yield Problem(f"{where}.{error.field}", str(error))
            continue
        if opening is None:
            years = windows.HORIZON.days // 365
            yield Problem(
                f"{where}.schedule",
                f"{window.schedule!r} does not come within {years} years: choose another day",
            )
        if not window.duration:
            yield Problem(f"{where}.duration", "is 0, so that the window never opens: lengthen it")


def _unknown(where: str, what: str, name: str, known: Iterable[str]) -> Problem:
    names = sorted(known)
    close = get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names) or 'none'}"
    return Problem(where, f"{name!r} is no known {what}: {hint}")
