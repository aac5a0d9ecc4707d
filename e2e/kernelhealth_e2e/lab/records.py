"""The document with what was measured, and the file of outcomes that it is written from."""

from __future__ import annotations

from pathlib import Path

from kernelhealth_e2e.cache import locked
from kernelhealth_e2e.lab import report, results
from kernelhealth_e2e.lab.kernels import catalogue
from kernelhealth_e2e.lab.outcome import Outcome
from kernelhealth_e2e.lab.scenarios import SCENARIOS

_ORDER = tuple(
    (scenario.name, run.name, kernel)
    for scenario in SCENARIOS
    for kernel, runs in scenario.on.items()
    for run in runs
)


def write(docs: Path, new: tuple[Outcome, ...], lock: Path) -> None:
    """Put new outcomes beside those that were measured before, and write the document anew.

    Whoever writes at the same time, with the same *lock*, waits.
    """
    file = docs / "lab.json"
    with locked(lock):
        outcomes = results.merged(results.load(file), new, _ORDER)
        file.write_text(results.dumps(outcomes), encoding="utf-8")
        (docs / "lab.md").write_text(document(outcomes), encoding="utf-8")


def document(outcomes: tuple[Outcome, ...]) -> str:
    """Return docs/lab.md as it has to be with these outcomes."""
    known = {name: kernel.description for name, kernel in catalogue.KERNELS.items()}
    return report.document(SCENARIOS, known, outcomes)
