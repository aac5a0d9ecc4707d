"""What has befallen in all courses, counted: a fault that never happens proves nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

FAULTS = (
    # The operator's way to the API server.
    "killed before a write",
    "killed after a write",
    "an answer was lost",
    "a write failed",
    "a write was sent twice",
    "a write came late",
    "a write was in conflict",
    "something came between two writes",
    "an eviction was refused",
    # Its caches and leaders.
    "it decided from a stale cache",
    "an event came twice",
    "another leader took over",
    "two leaders at once",
    # Nodes and their agents.
    "a node appeared",
    "a node went",
    "an agent died before a deed",
    "an agent died after a deed",
    "an agent was silent",
    "an agent could not measure",
    "a node was down",
    "a node's clock was off",
    "a host booted by itself",
    "a cure did not help",
    "a request was refused",
    # People.
    "a person cordoned",
    "a person uncordoned",
    "a person cancelled",
    "a person approved",
    "a person deleted a treatment",
    "a person exempted a node",
    "a person paused the policy",
    "a person changed the policy",
)
DEEDS = (
    "a treatment was opened",
    "a node was cordoned",
    "a node was tainted",
    "a pod was evicted",
    "an agent did a cure",
    "an agent rebooted in a window",
    "an agent rebooted at once",
    "a node was given back",
    "a treatment succeeded",
    "a treatment was in vain",
    "a treatment was cancelled",
    "a treatment failed",
    "a person's no was noted",
)
"""What the operator and the agents do in between: were it never, no promise would be tested."""


@dataclass
class Chronicle:
    """How often each of it happened, over all courses."""

    counts: Counter[str] = field(default_factory=Counter)
    courses: int = 0

    def note(self, what: str) -> None:
        """It happened once more."""
        self.counts[what] += 1

    def missing(self) -> list[str]:
        """What has never happened."""
        return [what for what in (*FAULTS, *DEEDS) if not self.counts[what]]

    def __str__(self) -> str:
        lines = [f"{self.counts[what]:8}  {what}" for what in (*FAULTS, *DEEDS)]
        return "\n".join([f"{self.courses:8}  courses", *lines])
