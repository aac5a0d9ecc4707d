"""What it means to be a source: which sample it makes of a host, how often, and what it recalls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.moments import Moment
from kernelhealth_api.detector import Params

S = TypeVar("S")
M = TypeVar("M")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Occasion(Generic[M]):
    """When and amid what a source looks.

    The inventory of the same round is there so that nothing is read twice. *memory* is what the
    source wanted to be remembered of its last sample in this boot, across restarts of the agent;
    None at its first look. *params* are the thresholds that the sample will be judged by, where
    they are known: what they ask for beyond the defaults may need a closer look. *others* are the
    memories of all sources at the last look, by name.
    """

    inventory: Inventory
    moment: Moment
    memory: M | None = None
    params: Params | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def memory_of(self, source: str, kind: type[K]) -> K | None:
        """Return what another source wanted to be remembered, which is a look old."""
        found = self.others.get(source)
        return found if isinstance(found, kind) else None


@dataclass(frozen=True, slots=True)
class Source(Generic[S, M]):
    """One kind of sample. *reads* names what it reads, for the documentation.

    *collect* raises ``HostError`` where nothing can be said. It reads through the host and keeps no
    state of its own: *remember* says what of a sample the next look shall have as memory, a value
    of the type *memory* that pydantic can put into words. A sample is good for *period* seconds; 0
    is for what is looked at in every round.
    """

    name: str
    sample: type[S]
    reads: tuple[str, ...]
    collect: Callable[[Host, Occasion[M]], S]
    period: float = 0.0
    memory: type[M] | None = None
    remember: Callable[[S], M] | None = None

    def recalled(self, value: Any) -> M | None:
        """Return a memory as it was, whether it is one or was read from the state file.

        What is no memory of this source, one of an earlier version say, is none.
        """
        if self.memory is None or value is None:
            return None
        if isinstance(value, self.memory):
            return value
        try:
            return TypeAdapter(self.memory).validate_python(value)
        except ValidationError:
            return None
