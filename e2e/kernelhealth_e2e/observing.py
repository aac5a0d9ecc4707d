"""Waits for what a cluster's objects become, by watching them and not by asking again and again."""

from __future__ import annotations

import codecs
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kernelhealth_e2e.errors import HarnessError

Object = dict[str, Any]
_PAUSE_SECONDS = 0.25


class NotSeenError(HarnessError):
    """What was waited for did not happen in time; the message has the object as it was last."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a watch has printed so far; it may be some milliseconds behind another watch."""

    file: IO[bytes]

    def versions(self) -> list[Object]:
        """Return the versions in the order in which they came."""
        # The watch goes on writing at an offset that it shares with this descriptor.
        size = os.fstat(self.file.fileno()).st_size
        printed = os.pread(self.file.fileno(), size, 0).decode(errors="ignore")
        return _complete(printed)[0]


@dataclass(frozen=True, slots=True)
class Observer:
    """Watches objects of one cluster through kubectl, in one namespace where they have one."""

    kubectl: Path
    kubeconfig: Path
    namespace: str = "default"

    def wait(
        self, kind: str, name: str, what: str, holds: Callable[[Object], bool], seconds: float
    ) -> Object:
        """Return the object as soon as *holds* is true of it; *what* names that in errors.

        Without a *name* it is the first object of that kind of which *holds* is true.
        """
        last: Object = {}
        for last in self._versions(kind, name, seconds):
            if holds(last):
                return last
        last.get("metadata", {}).pop("managedFields", None)
        state = json.dumps(last.get("status", last), indent=1)[:4000]
        raise NotSeenError(f"{kind} {name}: not seen within {seconds:.0f} s: {what}; it is {state}")

    def _versions(self, kind: str, name: str, seconds: float) -> Iterator[Object]:
        """Yield the object now and whenever it changes, until the time is over.

        The API server ends watches: after half an hour to an hour, and when the kind is defined
        anew (apiextensions-apiserver, customresource_handler.go: removeStorage_locked). kubectl
        ends with them, and another one goes on.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._watch(kind, name, subprocess.PIPE) as watching:
                yield from _documents(watching, deadline)
            # Nothing tells when a server can be reached again that kubectl did not reach.
            time.sleep(max(0.0, min(_PAUSE_SECONDS, deadline - time.monotonic())))

    @contextmanager
    def record(self, kind: str, name: str = "") -> Iterator[Recording]:
        """Keep every version of an object, or of all of a kind, that there is meanwhile."""
        with tempfile.TemporaryFile() as file, self._watch(kind, name, file):
            yield Recording(file)

    @contextmanager
    def _watch(
        self, kind: str, name: str, output: int | IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        selector = (f"--field-selector=metadata.name={name}",) if name else ()
        what = (kind, f"--namespace={self.namespace}", *selector)
        command = (str(self.kubectl), "get", *what, "--watch", "--output=json")
        environ = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with subprocess.Popen(command, stdout=output, env=environ) as watching:
            try:
                yield watching
            finally:
                watching.kill()


def _documents(watching: subprocess.Popen[bytes], deadline: float) -> Iterator[Object]:
    """Yield the JSON documents that a process prints one after the other."""
    if watching.stdout is None:
        raise ValueError("the process was started without a pipe for its output")
    text, descriptor = "", watching.stdout.fileno()
    characters = codecs.getincrementaldecoder("utf-8")()
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([descriptor], [], [], left)
        part = os.read(descriptor, 1 << 16) if ready else b""
        if not part:
            return
        documents, text = _complete(text + characters.decode(part))
        yield from documents


def _complete(text: str) -> tuple[list[Object], str]:
    """Return the JSON documents at the start of a text, and the rest that is none yet."""
    decoder, documents = json.JSONDecoder(), []
    while text := text.lstrip():
        try:
            document, end = decoder.raw_decode(text)
        except ValueError:
            break
        documents.append(document)
        text = text[end:]
    return documents, text
