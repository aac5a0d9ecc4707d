"""Starts foreign programs: in a session of their own, with nothing of the agent's.

The program gets an empty standard input, none of the agent's descriptors and signal settings, and
the environment that it is given. It is a child of the agent, in no group with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Mapping
from typing import Final

from kernelhealth_agent.hosts.running import Ending, Running, Script

_RESET: Final = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ)
"""Signals that Python handles or ignores, which programs do not expect."""


def started(script: Script, environment: Mapping[str, str]) -> Running | Ending:
    """Start a program, or return why it cannot be."""
    refusal = _refusal(script.path)
    if refusal:
        return Ending(None, wrong=refusal)
    with contextlib.ExitStack() as ends:
        out, said = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        err, complained = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for descriptor in (said, complained):
            os.set_blocking(descriptor, True)
            ends.callback(os.close, descriptor)
        try:
            pid = os.posix_spawn(
                script.path,
                (script.path, *script.arguments),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, said, 1),
                    (os.POSIX_SPAWN_DUP2, complained, 2),
                    *((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_RESET,
            )
        except OSError as error:
            os.close(out)
            os.close(err)
            return Ending(None, wrong=f"it could not be started: {error.strerror}")
    return Running(script, pid, out, err)


def untrusted(path: str) -> str:
    """Return why a file may not decide what is run as root; empty where nothing is against it."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "it is no regular file"
    foreign = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid else 0)
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & foreign:
        return "others than root may change it: chown root:root and chmod o-w, then it is used"
    return ""


def _refusal(path: str) -> str:
    """Return why a program is not run; empty where nothing is against it."""
    refusal = untrusted(path)
    if not refusal and not os.access(path, os.X_OK):
        return "it is not executable: chmod +x, or defaultMode: 0755 of a ConfigMap volume"
    return refusal


def _inheritable() -> list[int]:
    """Return the descriptors that some library left open to programs that are run."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
