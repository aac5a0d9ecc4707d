"""The record of a run while it is being played."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab.outcome import Mark, Stage, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kernelhealth_e2e.progress import Progress


@dataclass(slots=True)
class Saying:
    """What is to be said of the stage that is under way; the last word counts."""

    words: str = ""


@dataclass(slots=True)
class Trial:
    """Collects the steps of one run; *title* is how progress names it."""

    title: str
    progress: Progress
    clock: Callable[[], float] = time.monotonic
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def stage(self, stage: Stage, words: str, mark: Mark = Mark.YES) -> Iterator[Saying]:
        """Go through a stage: what is raised within ends it, and the run, as failed.

        *words* say what is waited for; ``Saying.words`` may say more exactly what was seen.
        """
        saying, begun = Saying(words), self.clock()
        try:
            with self.progress.step(f"{self.title}: {stage}: {words}"):
                yield saying
        except Exception:
            self.steps.append(Step(stage, Mark.FAILED, self.clock() - begun, words))
            raise
        self.steps.append(Step(stage, mark, self.clock() - begun, saying.words))

    def silent(self, stage: Stage, words: str) -> None:
        """Say that nothing was seen, as it must be of a control; the caller has looked."""
        self.steps.append(Step(stage, Mark.SILENT, 0.0, words))
