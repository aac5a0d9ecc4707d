"""What became of one run of a scenario on one kernel: values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """What must be shown of each failure, in this order."""

    REPRODUCED = "reproduced"
    DETECTED = "detected"
    NAMED = "named"
    TREATED = "treated"
    VERIFIED = "verified"


class Mark(StrEnum):
    """How a stage ended: *silent* is what a control must be, where nothing may be seen."""

    YES = "yes"
    SILENT = "silent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a run: how it ended, after how many seconds, and what was seen."""

    stage: Stage
    mark: Mark
    seconds: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was played where; ``kernel`` is the lab's name of it, ``release`` what uname says."""

    scenario: str
    run: str
    kernel: str
    release: str


@dataclass(frozen=True, slots=True)
class Boot:
    """A machine of the lab: from power to a Ready Node, and what kernel and disk take up in MiB."""

    seconds: float = 0.0
    kernel_mib: float = 0.0
    disk_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is known of a run; ``error`` says in words why it went no further, if it did not.

    ``expected`` are the stages that it had to go through. Without a boot no machine came up.
    """

    subject: Subject
    expected: tuple[Stage, ...]
    steps: tuple[Step, ...]
    boot: Boot | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether every expected stage was gone through as it had to be."""
        shown = {step.stage for step in self.steps if step.mark is not Mark.FAILED}
        return not self.error and shown >= set(self.expected)

    def step(self, stage: Stage) -> Step | None:
        """Return the last step of a stage, or None."""
        return next((step for step in reversed(self.steps) if step.stage is stage), None)
