"""Orders that delete policy rules: net/core/fib_rules.c (fib_nl_delrule, rule_find).

The kernel takes for anything whatever what an order does not say. So a rule is named by all that
the kernel itself said of it; and of the rules that fit it takes the first, so that a rule for all
packets cannot be deleted while one for some of them stands before it at the same priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kernelhealth_agent.kernel import netlink, policy_rules

PROTOCOL, DELETE = 0, 33
"""NETLINK_ROUTE, RTM_DELRULE."""
_HEADER, _TABLE_BYTE, _TABLE = 12, 4, 15  # struct fib_rule_hdr, its table, FRA_TABLE.


@dataclass(frozen=True, slots=True)
class RuleOrder:
    """A rule as ``ip -6 rule`` prints it, and the body of the message that deletes it.

    *place* is priority, table and suppress_prefixlength: rules that differ in those are never
    taken for each other.
    """

    place: tuple[int, int, int]
    text: str
    body: bytes


def suppressing(stream: bytes, path: str) -> Iterator[RuleOrder]:
    """Yield the rules with a suppress_prefixlength of an answer to ``policy_rules.request``."""
    for kind, body in netlink.messages(stream, path):
        alone = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, 0) + bytes(body)
        for rule in policy_rules.suppressing(alone, path):
            table = netlink.attributes(body[_HEADER:], path).get(_TABLE)
            number = netlink.number(table, path) or body[_TABLE_BYTE]
            yield RuleOrder((rule.priority, number, rule.suppress), rule.text, bytes(body))


def rival(orders: Iterable[RuleOrder], order: RuleOrder) -> RuleOrder | None:
    """Return the rule that the kernel may take for another; *orders* are all, in its own order."""
    for other in orders:
        if other == order:
            return None
        if other.place == order.place:
            return other
    return None
