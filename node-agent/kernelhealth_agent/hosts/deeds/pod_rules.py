"""Policy rules that were made for one pod, deleted one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds.orders import order
from kernelhealth_agent.kernel import netlink, routing
from kernelhealth_agent.kernel.routing import Rule

_ROUTE, _NEWRULE, _DELRULE = 0, 32, 33


@dataclass(frozen=True, slots=True)
class DeletePodRule:
    """The policy rules of the host that read like this one go.

    The kernel takes what a request does not say for anything whatever (net/core/fib_rules.c:
    rule_find). So each is deleted by the very words in which the kernel itself described it.
    """

    rule: Rule
    host_wide: bool = False

    @property
    def name(self) -> str:
        """What is deleted."""
        return f"policy rule {self.rule} is deleted"

    def do(self, root: str, keep: str) -> None:
        """Delete them; that there are none any more is fine. A copy is left in *keep*."""
        del root
        for number, body in enumerate(self._bodies()):
            copy = f"{keep}/rule-{self.rule.priority}-{number}-{body.hex()[:24]}.hex"
            with open(copy, "w", encoding="ascii") as to:
                to.write(f"{self.rule}\n{body.hex()}\n")
            order(_ROUTE, _DELRULE, body)

    def _bodies(self) -> Iterator[bytes]:
        path = "netlink rules"
        for kind, body in netlink.messages(sockets.dump(routing.rules_request(), None), path):
            if kind != _NEWRULE:
                continue
            size = netlink.HEADER.size + len(body)
            alone = netlink.HEADER.pack(size, _NEWRULE, 0, 0, 0) + bytes(body)
            if routing.rules(alone, path) == (self.rule,):
                yield bytes(body)
