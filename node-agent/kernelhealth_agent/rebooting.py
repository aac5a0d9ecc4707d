"""Rebooting: each method at most once in a boot, by a mark beside the journal's entries."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kernelhealth_agent import errors
from kernelhealth_agent.entries import Line
from kernelhealth_agent.hosts.deeds import Deed, reboots
from kernelhealth_agent.practice import Practice
from kernelhealth_agent.surgery import StoppedError
from kernelhealth_api.v1alpha1.request import HostRequest, RebootMethod, RequestState

_LOGGER = logging.getLogger(__name__)


def objection(request: HostRequest, practice: Practice) -> str:
    """Return why this boot must not be ended so, or nothing."""
    return practice.hands.objection(_deed(request, practice)) or _earlier(request, practice)


def ask(
    request: HostRequest, practice: Practice, doing: Callable[[str], None]
) -> tuple[RequestState, str]:
    """Ask for the reboot, and return how far that has come: Running where it was asked for.

    *doing* hears of it right before, and raises ``StoppedError`` or ``OSError`` where it must not
    be done. ``OSError`` where the mark cannot be made.
    """
    deed, mark = _deed(request, practice), _mark(request, _method(request))
    if not practice.journal.claim(mark):
        return RequestState.REFUSED, _earlier(request, practice)
    message = f"{deed.name} was asked for"
    try:
        doing(deed.name)
        practice.hands.do(deed, request.id)
    except reboots.UnansweredError as error:
        # Whoever reboots may be the first to go: only another boot tells.
        message = f"{message}, and there was no answer: {error}"
    except (StoppedError, OSError, errors.HostError) as error:
        practice.journal.disclaim(mark)
        return RequestState.FAILED, str(error)
    try:
        practice.journal.note(request.id, Line(did=deed.name))
    except OSError as error:
        _LOGGER.warning("Reboot that was asked for was not written down: why=%s", error)
    return RequestState.RUNNING, message


def _earlier(request: HostRequest, practice: Practice) -> str:
    """Return which reboot of this boot forbids another one: only Forced may follow Clean."""
    forbidding = {_method(request), RebootMethod.FORCED}
    made = [each for each in forbidding if practice.journal.claimed(_mark(request, each))]
    if not made:
        return ""
    return f"a reboot ({made[0]}) of this boot was asked for before, and there is only one"


def _deed(request: HostRequest, practice: Practice) -> Deed:
    return reboots.deed(_method(request), request.boot_id, request.id, practice.hook)


def _method(request: HostRequest) -> RebootMethod:
    rebooting = request.action.reboot
    return RebootMethod.CLEAN if rebooting is None else rebooting.method


def _mark(request: HostRequest, method: RebootMethod) -> str:
    return f"Reboot.{method}.{request.boot_id}"
