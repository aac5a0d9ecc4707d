"""Surgery: one fix, done to one aim after the other: look again, do it, look whether it helped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kernelhealth_agent import errors
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hands import Hands
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.wording import clipped
from kernelhealth_agent.workers import Workers
from kernelhealth_api.cures import Stage
from kernelhealth_api.v1alpha1.request import RequestState

_LOGGER = logging.getLogger(__name__)
_LOOK_AGAIN = 1.0
"""Seconds after which is looked again where no event tells that something has changed."""
_MOST_NAMED = 4


class StoppedError(Exception):
    """Nothing more may be done; the message says why."""


class End(StrEnum):
    """How it went with one aim."""

    ACHIEVED = "done"
    REFUSED = "left alone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """How it went with one aim, and why, as half a sentence."""

    title: str
    end: End
    why: str = ""


@dataclass(frozen=True, slots=True)
class Theatre:
    """What an operation works with.

    *wait* returns after so many seconds, or before when something of the host has changed.
    *uptime* returns seconds that nobody sets. *doing* and *did* hear of each deed, and raise
    ``StoppedError`` or ``OSError`` where it must not be done. Achieving an aim may take *patience*
    seconds.
    """

    host: Host
    hands: Hands
    wait: Callable[[float], object]
    uptime: Callable[[], float]
    doing: Callable[[str], None]
    did: Callable[[str], None]
    patience: float = 30.0


def operate(fix: Fix, aims: Iterable[Aim], theatre: Theatre, request_id: str) -> list[Result]:
    """Do *fix* to each aim and return how it went; one that fails does not stop the others.

    Where it is stopped, what has not been begun is missing in the result.
    """
    results: list[Result] = []
    for aim in aims:
        try:
            results.append(_treated(fix, aim, theatre, request_id))
        except StoppedError as error:
            results.append(Result(aim.title, End.FAILED, str(error)))
            break
    return results


def _treated(fix: Fix, aim: Aim, theatre: Theatre, request_id: str) -> Result:
    try:
        against = fix.objection(theatre.host, aim)
        deeds = () if against else tuple(fix.deeds(theatre.host, aim))
    except Exception as error:  # noqa: BLE001 - What cannot be looked at is an objection.
        return Result(aim.title, End.REFUSED, _why(error))
    against = against or next(filter(None, map(theatre.hands.objection, deeds)), "")
    if against:
        return Result(aim.title, End.REFUSED, against)
    try:
        _do(deeds, theatre, request_id)
        if achieved(fix, aim, theatre):
            return Result(aim.title, End.ACHIEVED)
        why = f"it was done, and {theatre.patience:g} s later it still was as before"
    except StoppedError:
        raise
    except Exception as error:  # noqa: BLE001 - One aim does not stop the others.
        why = _why(error)
    return Result(aim.title, End.FAILED, why + _taken_back(fix, aim, theatre, request_id))


def _do(deeds: Sequence[Deed], theatre: Theatre, request_id: str) -> None:
    for deed in deeds:
        theatre.doing(deed.name)
        theatre.hands.do(deed, request_id)
        theatre.did(deed.name)


def _taken_back(fix: Fix, aim: Aim, theatre: Theatre, request_id: str) -> str:
    """Undo what did not help, where that is possible; return what to say about it."""
    if fix.undo is None:
        return ""
    try:
        _do(tuple(fix.undo(theatre.host, aim)), theatre, request_id)
    except StoppedError:
        raise
    except Exception as error:  # noqa: BLE001 - It is told, and a person has to look.
        return f"; taking it back failed: {_why(error)}"
    return "; it was taken back"


def achieved(fix: Fix, aim: Aim, theatre: Theatre) -> bool:
    """Whether the aim is reached, now or before the patience ends."""
    end = theatre.uptime() + theatre.patience
    while True:
        if is_achieved(fix, aim, theatre.host):
            return True
        left = end - theatre.uptime()
        if left <= 0:
            return False
        theatre.wait(min(left, _LOOK_AGAIN))


def reached(fix: Fix, aims: Sequence[Aim], host: Host, seconds: float) -> tuple[Aim, ...]:
    """Return those aims that are achieved now; ``HungError`` where looking takes longer."""

    def look() -> tuple[Aim, ...]:
        return tuple(aim for aim in aims if is_achieved(fix, aim, host))

    return Workers(lambda _: f"what {fix.name} was to achieve").call(fix.name, look, seconds)


def is_achieved(fix: Fix, aim: Aim, host: Host) -> bool:
    """Whether the aim is reached; what cannot be seen is not. Raises nothing."""
    try:
        return fix.achieved(host, aim)
    except Exception as error:  # noqa: BLE001 - It was not seen, whatever the reason.
        _LOGGER.warning("Result of a fix was not seen: fix=%s why=%s", fix.name, _why(error))
        return False


def told(fix: Fix, results: Sequence[Result], left: int = 0) -> tuple[RequestState, str]:
    """Return how it ended as a whole, and a sentence; *left* aims were not begun.

    Refused where nothing was done to anything, Failed where anything failed or was not begun.
    """
    ends = {end: [result for result in results if result.end is end] for end in End}
    parts = [f"{fix.name}: {_counted(ends[End.ACHIEVED], End.ACHIEVED)}"]
    parts += [_counted(ends[end], end) for end in (End.FAILED, End.REFUSED) if ends[end]]
    if left:
        parts.append(f"{left} not begun")
    message = "; ".join(parts)
    if ends[End.ACHIEVED] and fix.stage is Stage.FIX_CONFIG:
        message += "; it stays so after a reboot" if fix.survives else "; until the next reboot"
    if ends[End.FAILED] or left:
        return RequestState.FAILED, message
    if ends[End.ACHIEVED]:
        return RequestState.SUCCEEDED, message
    return RequestState.REFUSED, message


def _counted(results: Sequence[Result], end: End) -> str:
    named = [
        f"{clipped(result.title)}: {result.why}" if result.why else clipped(result.title)
        for result in results[:_MOST_NAMED]
    ]
    more = len(results) - len(named)
    rest = f" and {more} more" if more else ""
    return f"{len(results)} {end}" + (f" ({'; '.join(named)}{rest})" if named else "")


def _why(error: Exception) -> str:
    """Return an error as half a sentence; a defect is called one."""
    if isinstance(error, errors.HostError | OSError):
        return clipped(str(error))
    _LOGGER.error("Fix failed by a defect of its own", exc_info=error)
    return clipped(f"a defect of the fix, please report it: {type(error).__name__}: {error}")
