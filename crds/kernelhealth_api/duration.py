"""Durations as Kubernetes writes them: ``10s``, ``2m``, ``1h30m``, ``720h``.

The grammar is that of Go's ``time.ParseDuration``, without signs and without units below a
millisecond.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def parse(text: str) -> timedelta:
    """Return the length of time that *text* names; ``ValueError`` says what is wrong with it."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write for example 30s, 5m or 1h30m")
    try:
        return timedelta(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(text)))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a duration") from error


def text(value: timedelta) -> str:
    """Return the shortest spelling of *value*, to the millisecond."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _before(value: Any) -> Any:
    return parse(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta,
    BeforeValidator(_before),
    PlainSerializer(text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "maxLength": 32}),
]
"""A field that is a ``timedelta`` inside and ``5m`` on the wire."""
