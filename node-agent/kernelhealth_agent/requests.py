"""Requests as they come from the operator: what they ask for, and what stands against them. Pure.

Whatever somebody managed to write into ``spec.request``, all it can do is to name a cure of the
catalogue for findings that this agent has made and confirmed itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.fix import Fix
from kernelhealth_agent.wording import clipped, printable, shortened
from kernelhealth_api import cures
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation
from kernelhealth_api.v1alpha1.request import Fixing, HostRequest, RequestState, RequestStatus

LONGEST_MESSAGE = 600
_MOST_BYTES, _LONGEST_ID = 1280, 253
_NAMELESS = "?"
"""Stands for the id of what has none; no id is like it."""
_ID = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request is judged by; *fixes* are those that this agent knows, by name."""

    boot_id: str | None
    now: datetime
    fixes: Mapping[str, Fix]


def read(spec: Mapping[str, Any]) -> HostRequest | RequestStatus | None:
    """Return the request in a spec; a refusal where it makes no sense; None where there is none.

    What has no proper id is refused under what can be shown of it.
    """
    found = spec.get("request")
    if found is None:
        return None
    if not isinstance(found, Mapping):
        why = f"spec.request cannot be understood: it is a {type(found).__name__}"
        return answer(_NAMELESS, RequestState.REFUSED, f"{why} and no mapping")
    request_id = found.get("id")
    if not isinstance(request_id, str) or not is_id(request_id):
        shown = shortened(printable(request_id), _LONGEST_ID) if isinstance(request_id, str) else ""
        why = "it has to be of lower case letters, digits, '-' and '.', 253 at the most"
        why = f"spec.request.id cannot be understood: {why}"
        return answer(shown or _NAMELESS, RequestState.REFUSED, why)
    try:
        return HostRequest.model_validate(found)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(["spec.request", *map(str, wrong["loc"])])
        return answer(
            request_id, RequestState.REFUSED, f"{where} cannot be understood: {wrong['msg']}"
        )


def is_id(text: str) -> bool:
    """Whether this may be the id of a request, and so the name of a file."""
    return _ID.fullmatch(text) is not None


def answer(
    request_id: str, state: RequestState, message: str, finished_at: datetime | None = None
) -> RequestStatus:
    """Return an answer; its message is made to fit into a report, its time is that of a wire."""
    if finished_at is not None:
        finished_at = finished_at.replace(microsecond=0)
    sentence = shortened(printable(message[:1].upper() + message[1:]), LONGEST_MESSAGE)
    while (much := len(sentence.encode()) - _MOST_BYTES) > 0:
        sentence = shortened(sentence, len(sentence) - 1 - much // 4)
    return RequestStatus(id=request_id, state=state, message=sentence, finished_at=finished_at)


def objection(request: HostRequest, facts: Facts) -> str:
    """Return why a request must not be begun, as a sentence, or nothing."""
    if facts.boot_id is None:
        return "the agent cannot read which boot this is, and will not act for another one"
    if request.boot_id != facts.boot_id:
        return (
            f"it is for the boot {clipped(request.boot_id)}, and this is the boot {facts.boot_id}:"
            " the node has booted since"
        )
    if request.deadline.tzinfo is None:
        return "its deadline has no time zone"
    if facts.now > request.deadline:
        late = (facts.now - request.deadline).total_seconds()
        return f"it was to be begun {late:.0f} s ago at the latest, by this node's clock"
    action = request.action
    given = [part for part in (action.fix_config, action.reclaim, action.reboot) if part]
    if len(given) != 1:
        return f"it asks for {len(given)} actions instead of one"
    fixing = wanted(request)
    return "" if fixing is None else _unfit(fixing, _stage(request), facts.fixes)


def wanted(request: HostRequest) -> Fixing | None:
    """Return which fix is asked for; None where it is a reboot."""
    return request.action.fix_config or request.action.reclaim


def _stage(request: HostRequest) -> Stage:
    return Stage.FIX_CONFIG if request.action.fix_config else Stage.RECLAIM


def _unfit(fixing: Fixing, stage: Stage, fixes: Mapping[str, Fix]) -> str:
    cure, fix = cures.named(fixing.fix), fixes.get(fixing.fix)
    if cure is None:
        return f"{clipped(fixing.fix)} is not in the catalogue of cures"
    if fix is None:
        return f"this version of the agent cannot do {fixing.fix}"
    if cure.stage is not stage or fix.stage is not stage:
        return f"{fixing.fix} is a cure of the kind {cure.stage}, and not {stage}"
    return ""


def grounds(fixing: Fixing, confirmed: Iterable[Seen]) -> tuple[Observation, ...]:
    """Return the confirmed observations of the named reasons that this fix would cure."""
    return tuple(
        seen.observation
        for seen in confirmed
        if seen.observation.reason.name in fixing.reasons and fixing.fix in seen.observation.cures
    )
