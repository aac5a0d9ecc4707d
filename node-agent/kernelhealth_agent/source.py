"""What it means to be a source: which sample it makes of a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Source(Generic[S]):
    """One kind of sample. *reads* names what it reads, for the documentation.

    *collect* raises ``HostError`` where nothing can be said. It reads through the host and keeps no
    state; the inventory of the same round is there so that nothing is read twice.
    """

    name: str
    sample: type[S]
    reads: tuple[str, ...]
    collect: Callable[[Host, Inventory], S]
