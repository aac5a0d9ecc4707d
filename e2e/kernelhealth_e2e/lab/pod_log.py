"""What the program of a pod tells line by line, as JSON: it is waited for by following the log."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from kernelhealth_e2e.observing import NotSeenError

if TYPE_CHECKING:
    from kernelhealth_e2e.observing import Observer

Event = dict[str, Any]


def heard(observer: Observer, namespace: str, pod: str, event: str, seconds: float) -> Event:
    """Wait until a pod has told that event, and return it; the first, if there are more.

    NotSeenError where the log ends before, or the time is over; it has the last lines.
    """
    said = list[str]()
    for line in _followed(observer, namespace, pod, seconds):
        said.append(line)
        told = _event(line)
        if told.get("event") == event:
            return told
    last = "\n".join(said[-20:]) or "(nothing)"
    raise NotSeenError(f"pod {pod} did not tell `{event}` within {seconds:.0f} s; it said\n{last}")


def events(log: str) -> list[str]:
    """Return the names of all that a log tells, in that order."""
    return [str(told["event"]) for told in map(_event, log.splitlines()) if told]


def _event(line: str) -> Event:
    """Return the event that a line tells; nothing for another line, such as of a traceback."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and "event" in told else {}


def _followed(observer: Observer, namespace: str, pod: str, seconds: float) -> Iterator[str]:
    deadline = time.monotonic() + seconds
    command = (str(observer.kubectl), "logs", "--follow", pod, f"--namespace={namespace}")
    environ = {**os.environ, "KUBECONFIG": str(observer.kubeconfig)}
    pipe, errors = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=errors, env=environ) as following:
        try:
            if following.stdout is not None:
                yield from _lines(following.stdout, deadline)
        finally:
            following.kill()


def _lines(source: IO[bytes], deadline: float) -> Iterator[str]:
    """Yield each line as it comes, until the end of them or the deadline."""
    text, descriptor = b"", source.fileno()
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], left)
        part = os.read(descriptor, 1 << 16) if ready else b""
        if not part:
            return
        *lines, text = (text + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
