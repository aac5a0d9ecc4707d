"""Which treatments had ended before they were deleted: of those nobody meant no by it."""

from __future__ import annotations

from kernelhealth_operator.policy.situation import Treatment

_REMEMBERED = 10_000


class Obituary:
    """The names of treatments that were deleted after their end, the newest 10,000."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def withdraw(self, one: Treatment) -> None:
        """Takes in that there is a treatment: what it is called may have been another's name."""
        self._names.pop(one.name, None)

    def note(self, one: Treatment) -> None:
        """Takes in that a treatment was deleted."""
        if one.status.phase.final:
            self._names[one.name] = None
        if len(self._names) > _REMEMBERED:
            del self._names[next(iter(self._names))]
