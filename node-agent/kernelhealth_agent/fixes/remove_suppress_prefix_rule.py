"""RemoveSuppressPrefixRule: the very rule that was found goes, where it was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors, netns_places
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.rules import DeleteRule
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel import policy_rules, rule_orders
from kernelhealth_agent.kernel.rule_orders import RuleOrder
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation, Severity

_NETLINK = f"netlink {policy_rules.request().name}"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each rule of each namespace once; of several findings the gravest speaks for it."""
    found: dict[str, Aim] = {}
    for observation in sorted(observations, key=_is_harmless):
        namespace, rule = observation.subject.namespace, _rule(observation)
        if namespace is not None and rule:
            key = f"{namespace}/{rule}"
            found.setdefault(key, Aim(key, f"'{rule}' in net:[{namespace}]", observation))
    yield from found.values()


def objection(host: Host, aim: Aim) -> str:
    """Return why it is to stay: it is gone, another one by now, or harms nobody."""
    if _is_harmless(aim.observation):
        return "on this kernel it is not known to do harm: nothing has leaked"
    try:
        space = _space(host, aim)
    except errors.AbsentError as error:
        return str(error)
    every = tuple(_every(host, space))
    named = [order for order in every if order.text == _rule(aim.observation)]
    if len(named) != 1:
        return f"{len(named)} rules read like it" if named else "the rule is gone already"
    rival = rule_orders.rival((each.body for each in every), named[0].body, _NETLINK)
    text = next((each.text for each in every if each.body == rival), None)
    return "" if text is None else f"the kernel would delete '{text}' for it: do it by hand"


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """Yield that the rule goes."""
    space = _space(host, aim)
    for order in _orders(host, space, aim):
        yield DeleteRule(space, order.text, order.body)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether the rule, or its whole namespace, is gone."""
    try:
        return not _orders(host, _space(host, aim), aim)
    except errors.AbsentError:
        return True


def _rule(observation: Observation) -> str:
    """Return the rule of a finding, which may name the filter behind it."""
    return (observation.subject.rule or "").partition("; ")[0]


def _is_harmless(observation: Observation) -> bool:
    return observation.severity is Severity.INFO


def _space(host: Host, aim: Aim) -> Space:
    return netns_places.space(host, aim.observation.subject.namespace or 0)


def _orders(host: Host, space: Space, aim: Aim) -> list[RuleOrder]:
    return [order for order in _every(host, space) if order.text == _rule(aim.observation)]


def _every(host: Host, space: Space) -> Iterator[RuleOrder]:
    stream = host.dump(policy_rules.request(), None if space.is_host else space.file)
    return rule_orders.suppressing(stream, _NETLINK)


FIX = Fix(
    name="RemoveSuppressPrefixRule",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
)
