"""The outcomes that were measured last, as the file beside the document that shows them."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from kernelhealth_e2e.lab.outcome import Outcome, Subject

_OUTCOMES = TypeAdapter(tuple[Outcome, ...])


def loads(text: str) -> tuple[Outcome, ...]:
    """Read outcomes from JSON; pydantic's ValidationError names what is wrong."""
    return _OUTCOMES.validate_json(text)


def dumps(outcomes: tuple[Outcome, ...]) -> str:
    """Give outcomes as JSON, times rounded to what can be repeated."""
    return _OUTCOMES.dump_json(outcomes, indent=1).decode() + "\n"


def load(file: Path) -> tuple[Outcome, ...]:
    """Read outcomes from a file; none where there is no file yet."""
    return loads(file.read_text()) if file.exists() else ()


def merged(
    before: tuple[Outcome, ...], new: tuple[Outcome, ...], order: tuple[tuple[str, str, str], ...]
) -> tuple[Outcome, ...]:
    """Put new outcomes in the place of those before; in *order* (scenario, run, kernel).

    What is not in the order any more is dropped.
    """
    latest = {_key(outcome.subject): outcome for outcome in (*before, *new)}
    return tuple(latest[key] for key in order if key in latest)


def _key(subject: Subject) -> tuple[str, str, str]:
    return (subject.scenario, subject.run, subject.kernel)
