"""IPv6 route objects that leak through rules with suppress_prefixlength."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pydantic import Field

from kernelhealth_agent.kernel import occupants
from kernelhealth_agent.kernel.rt6_stats import RouteObjects
from kernelhealth_agent.kernel.suppress_prefix import Routing, Sample
from kernelhealth_api.detector import (
    Detector,
    Observation,
    Params,
    Reason,
    Severity,
    Signal,
    Subject,
)
from kernelhealth_api.duration import Duration

_CAUSE = "SuppressPrefixLeak"
_REMOVALS = ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter")


class SuppressPrefixParams(Params):
    """From how many route objects on that nobody can account for something leaks."""

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
    "A namespace has far more IPv6 route objects than its routes and sockets explain; the memory"
    " comes back by a reboot only.",
    confirm="confirm_after",
)


def judge(now: Sample, params: SuppressPrefixParams) -> Iterator[Observation]:
    """Take each namespace with both halves of the trap, and each with too many route objects."""
    for routing in now.routings:
        is_leaking = routing.objects is not None and (
            routing.objects.unexplained >= params.route_objects
        )
        if routing.rules and routing.users:
            yield _trap(routing, suspect=now.affected or is_leaking)
        elif routing.rules and routing.users is None:
            yield _half(routing)
        if routing.objects is not None and is_leaking:
            yield _leaking(routing, routing.objects, now, params)


def _trap(routing: Routing, *, suspect: bool) -> Observation:
    rule, users = routing.rules[0], routing.users or ()
    others = len(routing.rules) + len(users) - 2
    message = (
        f"{_title(routing)} has the IPv6 rule '{rule.text}' together with"
        f" '{users[0].text}'{f' and {others} more of either' if others else ''}:"
        f" {'this' if suspect else 'an affected'} kernel"
        f" {'may lose' if suspect else 'would lose'} a route object with each packet;"
        f" remove either{_installed(routing)}."
    )
    return Observation(
        TRAP,
        str(routing.space.inode),
        _subject(routing, f"{rule.text}; {users[0].text}"),
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
        _subject(routing, rule),
        f"{_title(routing)} has the IPv6 rule '{rule}'; whether nftables looks up"
        " routes there was not asked, since without proc/modules and modules.builtin of this kernel"
        " it is not known whether asking would load a module; mount lib/modules for the agent.",
        _CAUSE,
        _REMOVALS[:1],
        Severity.INFO,
    )


def _leaking(
    routing: Routing, objects: RouteObjects, now: Sample, params: SuppressPrefixParams
) -> Observation:
    merged = f", counted in /proc/slabinfo also as {', '.join(now.merged[:3])}"
    stop = "remove the rule or the filter to stop it, and " if routing.rules else ""
    message = (
        f"{_title(routing)} has {objects.total} IPv6 route objects, of which its"
        f" routes and sockets explain {objects.explained}"
        f" (cache ip6_dst_cache{merged if now.merged else ''});"
        f" {stop}plan a reboot: nothing else frees them{_installed(routing)}."
    )
    return Observation(
        LEAKING,
        str(routing.space.inode),
        _subject(routing, routing.rules[0].text if routing.rules else None),
        message,
        _CAUSE if routing.rules else None,
        (*(_REMOVALS if routing.rules else ()), "Reboot"),
        Severity.CRITICAL if objects.unexplained >= params.critical_route_objects else None,
    )


def _title(routing: Routing) -> str:
    return "The host" if routing.is_host else occupants.title(routing.space)


def _installed(routing: Routing) -> str:
    return f" (set up by {', '.join(routing.files[:3])})" if routing.files else ""


def _subject(routing: Routing, rule: str | None) -> Subject:
    return occupants.subject(
        routing.space, rule=rule, file=routing.files[0] if routing.files else None
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
