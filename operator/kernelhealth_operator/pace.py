"""How long nodes were away for their reboots, as far as the kept treatments tell."""

from __future__ import annotations

from datetime import datetime, timedelta

from kernelhealth_operator.policy.situation import Treatment

_KEPT = 32
_DISTURBING = frozenset({"drain", "reboot"})


class Pace:
    """Of each policy the last reboots that came about; what is noted twice counts once."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, tuple[datetime, timedelta]]] = {}

    def note(self, treatment: Treatment) -> None:
        """Takes in a treatment; only one that has ended and rebooted its node counts."""
        took = _took(treatment)
        if took is None:
            return
        seen = self._seen.setdefault(treatment.spec.policy, {})
        seen[treatment.name] = took
        if len(seen) > _KEPT:
            del seen[min(seen, key=lambda name: seen[name])]

    def typical(self, policy: str) -> timedelta | None:
        """How long a node of *policy* was away, in the middle of those kept; None: none is."""
        took = sorted(each for _, each in self._seen.get(policy, {}).values())
        return took[len(took) // 2] if took else None


def _took(treatment: Treatment) -> tuple[datetime, timedelta] | None:
    status = treatment.status
    rebooted = any(rung.action == "reboot" and rung.state == "Done" for rung in status.rungs)
    begun = [
        rung.started_at
        for rung in status.rungs
        if rung.action in _DISTURBING and rung.started_at is not None
    ]
    if not rebooted or not begun or not status.phase.final or status.finished_at is None:
        return None
    return status.finished_at, status.finished_at - min(begun)
