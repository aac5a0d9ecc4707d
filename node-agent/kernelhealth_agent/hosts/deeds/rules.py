"""IPv6 policy rules, deleted in the network namespace where they are."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernelhealth_agent.hosts.deeds import removal, spaces
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel import policy_rules


@dataclass(frozen=True, slots=True)
class DeleteRule:
    """One rule goes, of all that has those words exactly one; *text* as ``ip -6 rule`` prints it.

    *body* is how the kernel described the rule itself.
    """

    space: Space
    text: str
    body: bytes = field(repr=False)

    @property
    def host_wide(self) -> bool:
        """Whether it is in the host's own namespace."""
        return self.space.is_host

    @property
    def name(self) -> str:
        """What is deleted, and where."""
        return f"the IPv6 rule '{self.text}' is deleted in {self.space.title}"

    def do(self, root: str, keep: str) -> None:
        """Delete it; that it is gone is fine. How to have it again is left in *keep*.

        ``UnreadableError`` where the kernel would take another rule for it.
        """
        priority, _, rest = self.text.partition(": ")
        with open(f"{keep}/ip6-rule-{priority}", "a", encoding="utf-8") as file:
            file.write(f"{self.space.title}: ip -6 rule add priority {priority} {rest}\n")
        with spaces.entered(root, self.space) as path:
            removal.remove(self.body, policy_rules.request(), path)
