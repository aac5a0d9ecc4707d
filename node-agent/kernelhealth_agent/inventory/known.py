"""What earlier looks found out, so that it need not be found out again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from kernelhealth_agent.hosts import Task
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """When everything was asked last, and the ids that nothing led to then."""

    at: datetime | None = None
    lost: frozenset[int] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """The last look: all tasks by number, and those of them that need not be read again.

    *blind* says what could not be looked at when everything was asked.
    """

    inventory: Inventory
    tasks: Mapping[int, Task]
    settled: Mapping[int, Task]
    blind: tuple[str, ...] = ()

    @property
    def spaces(self) -> Mapping[int, Namespace]:
        """All namespaces that were reached, by inode number, the host's own among them."""
        return {**self.inventory.namespaces, self.inventory.host.inode: self.inventory.host}
