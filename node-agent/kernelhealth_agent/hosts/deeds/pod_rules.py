"""Policy rules that were made for one pod, deleted one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds import removal
from kernelhealth_agent.kernel import netlink, routing, rule_orders
from kernelhealth_agent.kernel.routing import Rule


@dataclass(frozen=True, slots=True)
class DeletePodRule:
    """The policy rules of the host that read like this one go.

    The kernel takes what a request does not say for anything whatever (net/core/fib_rules.c:
    rule_find). So each is deleted by the very words in which the kernel itself described it.
    """

    rule: Rule
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What is deleted."""
        return f"policy rule {self.rule} is deleted"

    def do(self, root: str, keep: str) -> None:
        """Delete them; that there are none any more is fine. A copy is left in *keep*.

        ``UnreadableError`` where the kernel would take another rule for one of them.
        """
        del root
        for number, body in enumerate(self._bodies()):
            copy = f"{keep}/rule-{self.rule.priority}-{number}-{body.hex()[:24]}.hex"
            with open(copy, "w", encoding="ascii") as to:
                to.write(f"{self.rule}\n{body.hex()}\n")
            removal.remove(body, routing.rules_request())

    def _bodies(self) -> Iterator[bytes]:
        """Yield what the kernel says of each, in its own order, so that narrower ones go first."""
        path = "netlink rules"
        for body in rule_orders.bodies(sockets.dump(routing.rules_request(), None), path):
            size = netlink.HEADER.size + len(body)
            alone = netlink.HEADER.pack(size, rule_orders.ADD, 0, 0, 0) + body
            if routing.rules(alone, path) == (self.rule,):
                yield body
