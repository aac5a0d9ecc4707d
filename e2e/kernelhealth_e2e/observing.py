"""Waits for what a cluster's object becomes, by watching it and not by asking again and again."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelhealth_e2e.errors import HarnessError

Object = dict[str, Any]


class NotSeenError(HarnessError):
    """What was waited for did not happen in time; the message has the object as it was last."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Watches objects of one cluster through kubectl."""

    kubectl: Path
    kubeconfig: Path

    def wait(
        self, kind: str, name: str, what: str, holds: Callable[[Object], bool], seconds: float
    ) -> Object:
        """Return the object as soon as *holds* is true of it; *what* names that in errors."""
        last: Object = {}
        for last in self._versions(kind, name, seconds):
            if holds(last):
                return last
        last.get("metadata", {}).pop("managedFields", None)
        state = json.dumps(last.get("status", last), indent=1)[:4000]
        raise NotSeenError(f"{kind} {name}: not seen within {seconds:.0f} s: {what}; it is {state}")

    def _versions(self, kind: str, name: str, seconds: float) -> Iterator[Object]:
        """Yield the object now and whenever it changes, until the time is over."""
        selector = f"--field-selector=metadata.name={name}"
        command = (str(self.kubectl), "get", kind, selector, "--watch", "--output=json")
        environ = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as watching:
            try:
                yield from _documents(watching, time.monotonic() + seconds)
            finally:
                watching.kill()


def _documents(watching: subprocess.Popen[bytes], deadline: float) -> Iterator[Object]:
    """Yield the JSON documents that a process prints one after the other."""
    if watching.stdout is None:
        raise ValueError("the process was started without a pipe for its output")
    decoder, text = json.JSONDecoder(), ""
    descriptor = watching.stdout.fileno()
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], left)
        if not ready:
            return
        part = os.read(descriptor, 1 << 16)
        if not part:
            return
        text += part.decode()
        while text := text.lstrip():
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield document
            text = text[end:]
