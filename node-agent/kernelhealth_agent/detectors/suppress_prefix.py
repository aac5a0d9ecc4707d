"""IPv6 route objects that leak through rules with suppress_prefixlength."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import route_leaks
from kernelhealth_agent.kernel.suppress_prefix import Routing, Sample
from kernelhealth_api.detector import (
    Detector,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
)
from kernelhealth_api.duration import Duration

_CAUSE = "SuppressPrefixLeak"
_REMOVALS = ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter")


class SuppressPrefixParams(Params):
    """From how many route objects on that nobody can account for something leaks, and how fast."""

    confirm_after: Duration = Field(
        timedelta(minutes=2),
        description="How long the route objects must stay unaccounted for.",
    )
    route_objects: int = Field(
        4096,
        ge=1,
        description="IPv6 route objects of one network namespace beyond those of its routes and"
        " sockets from which on they are taken to leak; 256 bytes each.",
    )
    critical_route_objects: int = Field(
        262144, ge=1, description="From how many such route objects on the finding is Critical."
    )
    growth_samples: int = Field(
        6,
        ge=3,
        description="In how many looks such route objects must have been counted for"
        " their growth to be judged.",
    )
    growth_span: Duration = Field(
        timedelta(minutes=10), description="How much time those looks must span."
    )
    growth_per_hour: int = Field(
        1000,
        ge=1,
        description="How many such route objects an hour must come, with 95 % confidence, for"
        " their growth alone to be a Critical finding.",
    )


TRAP = Reason(
    "SuppressPrefixTrap",
    Severity.WARNING,
    "A namespace has an IPv6 rule with suppress_prefixlength and a filter that looks up routes: a"
    " kernel with the fault loses memory with each packet. Info where the release is not known to"
    " have the fault and nothing has leaked.",
)
LEAKING = Reason(
    "IPv6RouteObjectsLeaking",
    Severity.WARNING,
    "A namespace has far more IPv6 route objects than its routes and sockets explain, or ever more"
    " of them; the memory comes back by a reboot only. Critical where they grow.",
    confirm="confirm_after",
)


def judge(now: Sample, params: SuppressPrefixParams) -> Iterator[Observation]:
    """Take each namespace with both halves of the trap, and each with too many route objects."""
    for routing in now.routings:
        grows = route_leaks.grows(
            routing,
            params.growth_samples,
            params.growth_span.total_seconds(),
            params.growth_per_hour,
        )
        is_leaking = grows or (
            routing.objects is not None and routing.objects.unexplained >= params.route_objects
        )
        if routing.rules and routing.users:
            yield _trap(routing, suspect=now.affected or is_leaking)
        elif routing.rules and routing.users is None:
            yield _half(routing)
        if routing.objects is not None and is_leaking:
            yield _leaking(routing, now, params, grows=grows)


def _trap(routing: Routing, *, suspect: bool) -> Observation:
    rule, users = routing.rules[0], routing.users or ()
    others = len(routing.rules) + len(users) - 2
    message = (
        f"{route_leaks.title(routing)} has the IPv6 rule '{rule.text}' together with"
        f" '{users[0].text}'{f' and {others} more of either' if others else ''}:"
        f" {'this' if suspect else 'an affected'} kernel"
        f" {'may lose' if suspect else 'would lose'} a route object with each packet;"
        f" remove either{route_leaks.installed(routing)}."
    )
    return Observation(
        TRAP,
        str(routing.space.inode),
        route_leaks.subject(routing, f"{rule.text}; {users[0].text}"),
        message,
        _CAUSE,
        _REMOVALS,
        None if suspect else Severity.INFO,
    )


def _half(routing: Routing) -> Observation:
    rule = routing.rules[0].text
    return Observation(
        TRAP,
        str(routing.space.inode),
        route_leaks.subject(routing, rule),
        f"{route_leaks.title(routing)} has the IPv6 rule '{rule}'; whether nftables looks up"
        " routes there was not asked, since without proc/modules and modules.builtin of this kernel"
        " it is not known whether asking would load a module; mount lib/modules for the agent.",
        _CAUSE,
        _REMOVALS[:1],
        Severity.INFO,
    )


def _leaking(
    routing: Routing, now: Sample, params: SuppressPrefixParams, *, grows: bool
) -> Observation:
    unexplained = routing.objects.unexplained if routing.objects is not None else 0
    measure = route_leaks.measure(routing, now, params.critical_route_objects, grows=grows)
    large = unexplained >= params.critical_route_objects
    return Observation(
        LEAKING,
        str(routing.space.inode),
        route_leaks.subject(routing, routing.rules[0].text if routing.rules else None),
        route_leaks.leak(routing, now, measure),
        _CAUSE if routing.rules else None,
        (*(_REMOVALS if routing.rules else ()), "Reboot"),
        Severity.CRITICAL if large or grows else None,
        measure=measure,
    )


def _unexplained(now: Sample) -> dict[tuple[str, ...], float]:
    found = [routing.objects.unexplained for routing in now.routings if routing.objects is not None]
    return {(): float(sum(found))}


DETECTOR = Detector(
    name="suppress_prefix",
    condition="IPv6RouteObjectsHealthy",
    summary="IPv6 route objects that leak through rules with suppress_prefixlength",
    sample=Sample,
    params=SuppressPrefixParams,
    reasons=(TRAP, LEAKING),
    judge=judge,
    signals=(
        Signal(
            "ipv6_suppressing_rules",
            "IPv6 rules with suppress_prefixlength, in all network namespaces.",
            lambda now: {(): float(sum(len(routing.rules) for routing in now.routings))},
        ),
        Signal(
            "ipv6_unexplained_route_objects",
            "IPv6 route objects that neither routes nor sockets explain, in all namespaces.",
            _unexplained,
        ),
    ),
)
