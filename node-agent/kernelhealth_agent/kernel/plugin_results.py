"""What plugins came to: the answer to the probe that runs them, and what a round takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from kernelhealth_agent import errors

OK, PROBLEM = 0, 1
"""Exit statuses of node-problem-detector's plugins; whatever else there is means: unknown."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one run ended; *status* is None where it did not end by itself, and *wrong* says why."""

    status: int | None
    output: str
    wrong: str

    @property
    def unknown(self) -> str:
        """Why nothing is known by it; empty where it says yes or no."""
        if self.wrong:
            return f"{self.wrong}{f'; it said: {self.output}' if self.output else ''}"
        if self.status in {OK, PROBLEM}:
            return ""
        return f"it does not know (exit status {self.status}): {self.output or 'it said nothing'}"


@dataclass(frozen=True, slots=True)
class Sample:
    """The results of one condition's plugins by name; *blind* names those without a result."""

    results: dict[str, Result]
    blind: tuple[str, ...]


_ANSWER: Final = TypeAdapter(dict[str, Result | None])


def decoded(answer: bytes, path: str) -> dict[str, Result | None]:
    """Return the results by name of the plugin, None for one that has not ended yet.

    Raises ``UnreadableError``.
    """
    try:
        return _ANSWER.validate_json(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise errors.UnreadableError(path, first["msg"]) from error
