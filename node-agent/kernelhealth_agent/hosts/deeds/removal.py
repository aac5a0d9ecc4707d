"""The removal of one policy rule, of all that look alike exactly that one."""

from __future__ import annotations

from collections import Counter

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds.orders import order
from kernelhealth_agent.kernel import netlink, rule_orders
from kernelhealth_agent.kernel.netlink import Request


def remove(body: bytes, request: Request, namespace: str | None = None) -> bool:
    """Delete the rule that the kernel describes by *body*; False where there is none.

    *request* asks for all rules of its kind, *namespace* is the full path of a namespace file, None
    the calling thread's own. ``UnreadableError`` where the kernel would delete another one for it.
    Should one come in between after all, that one is made anew.
    """
    path = f"netlink {request.name}"
    before = _bodies(request, namespace)
    if body not in before:
        return False
    if rule_orders.rival(before, body, path) is not None:
        why = "a rule stands before this one that the kernel would delete for it: do it by hand"
        raise errors.UnreadableError(path, why)
    order(rule_orders.PROTOCOL, rule_orders.DELETE, rule_orders.deletion(body, path), namespace)
    left = Counter(_bodies(request, namespace))
    if left[body] < Counter(before)[body]:
        return True
    others = Counter(before) - left
    if others.total() == 1:
        (other,) = others
        order(rule_orders.PROTOCOL, rule_orders.ADD, other, namespace, netlink.CREATE)
    why = f"another rule went for it ({others.total()} are missing; a single one was made anew)"
    raise errors.UnreadableError(path, why)


def _bodies(request: Request, namespace: str | None) -> tuple[bytes, ...]:
    return rule_orders.bodies(sockets.dump(request, namespace), f"netlink {request.name}")
