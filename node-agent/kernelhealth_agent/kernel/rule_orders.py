"""Orders that delete policy rules: net/core/fib_rules.c (fib_nl_delrule, rule_find).

The kernel takes for anything whatever what an order does not say. So a rule is named by all that
the kernel itself said of it; and of the rules that fit it takes the first, so that a rule for all
packets cannot be deleted while one for some of them stands before it at the same priority.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import netlink, policy_rules

PROTOCOL, ADD, DELETE = 0, 32, 33
"""NETLINK_ROUTE, RTM_NEWRULE, RTM_DELRULE."""
_HEADER = struct.Struct("=8BI")
_OWN_FLAGS = 3
"""FIB_RULE_PERMANENT and _INVERT: the others say whether an interface is there at the moment."""
_COMPARED_BYTES = (1, 2, 3, 7)
"""Lengths of destination and source, type of service, action."""
_PRIORITY = 6
_COMPARED = (1, 2, 3, 10, 14, 15, 16, 17, 22, 23, 24)
"""Destination, source, iif, fwmark, suppress_prefixlength, table, fwmask, oif, protocol and ports.

What more is compared by some kernels is left out: then a rule counts as a rival that is none.
"""
_SUPPRESS, _NONE = 14, b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class RuleOrder:
    """A rule as ``ip -6 rule`` prints it, and the body of the message that describes it."""

    text: str
    body: bytes


def suppressing(stream: bytes, path: str) -> Iterator[RuleOrder]:
    """Yield the rules with a suppress_prefixlength of an answer to ``policy_rules.request``."""
    for kind, body in netlink.messages(stream, path):
        alone = netlink.HEADER.pack(netlink.HEADER.size + len(body), kind, 0, 0, 0) + bytes(body)
        for rule in policy_rules.suppressing(alone, path):
            yield RuleOrder(rule.text, _lasting(body, path))


def bodies(stream: bytes, path: str) -> tuple[bytes, ...]:
    """Decode any answer about rules: what the kernel says of each, in its order."""
    every = netlink.messages(stream, path)
    return tuple(_lasting(body, path) for kind, body in every if kind == ADD)


def deletion(body: bytes, path: str) -> bytes:
    """Return the body of the order that deletes a rule; the kernel does not tell a priority 0."""
    if _PRIORITY in _attributes(body, path):
        return body
    return body + netlink.attribute(_PRIORITY, bytes(4))


def rival(every: Iterable[bytes], body: bytes, path: str) -> bytes | None:
    """Return the rule that the kernel may take for another; *every* is in its own order.

    None where it is the first that fits, or where there is no such rule at all.
    """
    for other in every:
        if other == body:
            return None
        if _fits(body, other, path):
            return other
    return None


def _fits(order: bytes, other: bytes, path: str) -> bool:
    """Whether the kernel may take *other* for the rule that *order* describes."""
    if order[0] != other[0]:
        return False
    if any(order[at] and order[at] != other[at] for at in _COMPARED_BYTES):
        return False
    wanted, found = _attributes(order, path), _attributes(other, path)
    zero = memoryview(bytes(4))
    if wanted.get(_PRIORITY, zero) != found.get(_PRIORITY, zero):
        return False
    for kind in _COMPARED:
        value = wanted.get(kind)
        if value is None or (value == _NONE if kind == _SUPPRESS else not any(value)):
            continue  # It is not said, and the kernel takes anything for it.
        if found.get(kind) != value:
            return False
    return True


def _lasting(body: memoryview, path: str) -> bytes:
    """Return a rule's description without what changes by itself."""
    if len(body) < _HEADER.size:
        raise errors.UnreadableError(path, f"a rule message of {len(body)} bytes")
    *head, flags = _HEADER.unpack_from(body)
    return _HEADER.pack(*head, flags & _OWN_FLAGS) + bytes(body[_HEADER.size :])


def _attributes(body: bytes, path: str) -> dict[int, memoryview]:
    return netlink.attributes(memoryview(body)[_HEADER.size :], path)
