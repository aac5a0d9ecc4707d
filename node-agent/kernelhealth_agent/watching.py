"""Watches the node's own NodeKernelHealth: what the operator wants, and what the server has."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kernelhealth_agent.apiserver import ApiServer, RefusedError, UnreachableError

_LOGGER = logging.getLogger(__name__)
_SHORTEST, _LONGEST = 240, 300
_LONGEST_BACKOFF = 15.0
"""Seconds; one request of one agent, which is far less than all pods of its node ask for."""
_WORKED = 30.0
"""Seconds; longer than a request may take that fails."""
_NOT_FOUND, _GONE = 404, 410

Wanted = Callable[[Mapping[str, Any]], None]
"""Hears the spec, each time it is read."""


class Watching:
    """A thread that follows one object. While the server is away the last known spec stays."""

    def __init__(
        self, server: ApiServer, wanted: Wanted, on_server: Callable[[str | None], None]
    ) -> None:
        self._server = server
        self._wanted = wanted
        self._on_server = on_server
        self._version: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End after the line that is being waited for; the thread does not hold up the exit."""
        self._stopped.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._follow()
                failures = 0
                continue
            except (RefusedError, UnreachableError) as error:
                why = str(error)
            except Exception:  # What is known stays in force, and the next try may do.
                _LOGGER.exception("Watch of the NodeKernelHealth failed because of a defect")
                why = "a defect"
            if time.monotonic() - began > _WORKED:
                # It worked until now: what failed before is another matter.
                failures = 0
            if failures == 0:
                _LOGGER.warning("Watch of the NodeKernelHealth was interrupted: why=%s", why)
            self._version = None
            pause = random.random() * min(_LONGEST_BACKOFF, 2.0 ** min(failures, 16))  # noqa: S311
            failures += 1
            self._stopped.wait(max(0.2, pause))

    def _follow(self) -> None:
        """Read the object where its version is not known, then hear of its changes for a while."""
        if self._version is None:
            try:
                self._take(self._server.get())
            except RefusedError as error:
                if error.status != _NOT_FOUND:
                    raise
        seconds = random.randint(_SHORTEST, _LONGEST)  # noqa: S311
        for event in self._server.watch(self._version, seconds):
            if self._stopped.is_set():
                return
            self._heard(event)

    def _heard(self, event: Mapping[str, Any]) -> None:
        found = event.get("object")
        if not isinstance(found, dict):
            raise UnreachableError("a watch event had no object")
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                self._take(found)
            case "BOOKMARK" | "DELETED":
                self._version = _text(found, "metadata", "resourceVersion")
            case "ERROR":
                raise RefusedError(int(found.get("code") or _GONE), str(found.get("message")))

    def _take(self, found: Mapping[str, Any]) -> None:
        self._version = _text(found, "metadata", "resourceVersion")
        spec = found.get("spec")
        self._wanted(spec if isinstance(spec, dict) else {})
        self._on_server(_text(found, "status", "health"))


def _text(found: Mapping[str, Any], part: str, name: str) -> str | None:
    inner = found.get(part)
    value = inner.get(name) if isinstance(inner, dict) else None
    return value if isinstance(value, str) else None
