"""What came of treatments, counted as it is written: for people who watch trends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from kernelhealth_operator.policy.situation import Treatment
from kernelhealth_operator.policy.storm import treated_for

_MOST = 200
"""Causes with a number of their own; an agent that invents more cannot flood Prometheus."""
_OTHER = "other"


class Outcomes:
    """How many treatments were in vain, by cause; by reason where no cause is known.

    The known *causes* begin at 0, so that the first one in vain is an increase that can be seen.
    """

    def __init__(self, causes: Iterable[str] = ()) -> None:
        self._ineffective = Counter(dict.fromkeys(causes, 0))

    @property
    def ineffective(self) -> Mapping[str, int]:
        """By cause, since this process began."""
        return self._ineffective

    def in_vain(self, treatment: Treatment) -> None:
        """Everything was done in *treatment*, and nothing helped."""
        for cause in treated_for(treatment):
            known = cause in self._ineffective or len(self._ineffective) < _MOST
            self._ineffective[cause if known else _OTHER] += 1
