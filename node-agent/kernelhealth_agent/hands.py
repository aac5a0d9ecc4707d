"""Hands: who does deeds to a host. The only way from a fix to the machine.

The agent's view of the host is mounted read-only. What is done goes through the root directory of
process 1 instead, ``proc/1/root``: proc(5) resolves it in the mount namespace of that process,
where the host's file systems are as writable as the host has them. Where process 1 is guarded even
from root, kthreadd is in the same place. Either must have the very root directory that the agent
looks at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol

from kernelhealth_agent.fix import Deed
from kernelhealth_agent.hosts import confined

KEPT = "var/lib/kernelhealth/kept"
"""Where what was replaced is kept: below the host's root, by the request's id, for good."""
_LIKE_THE_HOST = (1, 2)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Hands(Protocol):
    """Does deeds, or refuses to."""

    def objection(self, deed: Deed) -> str:
        """Return why these hands would not do it, as half a sentence, or nothing."""

    def do(self, deed: Deed, request_id: str) -> None:
        """Do it; ``OSError`` or ``HostError`` where it does not work."""

    def keep(self, request_id: str, name: str, content: bytes) -> None:
        """Keep a file beside what a request has replaced; ``OSError``."""


class LiveHands:
    """Does everything, to the host whose root directory is mounted at *root*."""

    def __init__(self, root: str, kept: str = KEPT) -> None:
        self._root = root
        self._kept = kept.strip("/")

    def objection(self, deed: Deed) -> str:  # noqa: ARG002 - It is the same for all.
        """Return why nothing can be done here, or nothing."""
        try:
            writable(self._root)
        except OSError as error:
            return str(error)
        return ""

    def do(self, deed: Deed, request_id: str) -> None:
        """Do it, with a directory for what is replaced; left empty, that goes again."""
        root = writable(self._root)
        with self._place(root, request_id) as place:
            deed.do(root, f"/proc/self/fd/{place}")

    def keep(self, request_id: str, name: str, content: bytes) -> None:
        """Keep a file beside what a request has replaced; it is on the disk when this returns."""
        with self._place(writable(self._root), request_id) as place:
            opened = os.open(name, _ANEW, 0o600, dir_fd=place)
            with os.fdopen(opened, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    @contextlib.contextmanager
    def _place(self, root: str, request_id: str) -> Iterator[int]:
        """Give the directory of what a request replaces; left empty, it goes again.

        By descriptors below the host's root: an absolute link there leads elsewhere from here.
        """
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with confined.made(top, self._kept) as above:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(request_id, 0o700, dir_fd=above)
                try:
                    place = os.open(request_id, _DIRECTORY, dir_fd=above)
                    try:
                        yield place
                    finally:
                        os.close(place)
                finally:
                    with contextlib.suppress(OSError):
                        os.rmdir(request_id, dir_fd=above)
        finally:
            os.close(top)


class RefusingHands:
    """Leaves alone what more than one pod depends on: for a node that is somebody's own machine."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def objection(self, deed: Deed) -> str:
        """Return that a deed goes too far, or what the other hands say."""
        if deed.host_wide:
            return (
                f"{deed.name} would change the whole host, which KERNELHEALTH_HANDS="
                "refuse-host-wide forbids"
            )
        return self._hands.objection(deed)

    def do(self, deed: Deed, request_id: str) -> None:
        """Do it; ``PermissionError`` for what goes too far."""
        if deed.host_wide:
            raise PermissionError(self.objection(deed))
        self._hands.do(deed, request_id)

    def keep(self, request_id: str, name: str, content: bytes) -> None:
        """Let the other hands keep it."""
        self._hands.keep(request_id, name, content)


class DryHands:
    """Does nothing; ``told`` has the names of what would have been done, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def objection(self, deed: Deed) -> str:  # noqa: ARG002 - Nothing is as harmless as this.
        """Return nothing."""
        return ""

    def do(self, deed: Deed, request_id: str) -> None:  # noqa: ARG002
        """Take note of it."""
        self.told.append(deed.name)

    def keep(self, request_id: str, name: str, content: bytes) -> None:
        """Keep nothing."""


def writable(root: str) -> str:
    """Return where the host whose root is mounted at *root* can be written to; ``OSError``."""
    if root.rstrip("/") == "":
        return "/"
    seen = os.stat(root)  # noqa: PTH116 - A root is text all over the hosts.
    why = "it is another directory"
    for process in _LIKE_THE_HOST:
        path = f"{root.rstrip('/')}/proc/{process}/root"
        try:
            if os.path.samestat(os.stat(path), seen):  # noqa: PTH116
                return path
        except OSError as error:
            why = error.strerror or str(error)
    raise PermissionError(
        f"the host's own files cannot be reached through {root.rstrip('/')}/proc/1/root ({why}):"
        " the agent needs hostPID and CAP_SYS_PTRACE"
    )


def hands(root: str, kept: str, mode: str) -> Hands:
    """Return the hands of an agent; *mode* is ``live`` or ``refuse-host-wide``."""
    live = LiveHands(root, kept)
    return live if mode == "live" else RefusingHands(live)
