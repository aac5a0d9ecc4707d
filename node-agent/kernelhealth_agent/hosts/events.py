"""What the kernel tells by itself: links and ids that come and go, mounts that change, errors.

Nothing is read out of it: every message only says that a look may be worth while. Messages that
were lost say so too.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
from collections.abc import Iterable
from typing import Self

from kernelhealth_agent.hosts.log_news import LogNews

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_LINKS, _NSIDS = 1, 28  # include/uapi/linux/rtnetlink.h: RTNLGRP_LINK, RTNLGRP_NSID (Linux 4.0)
_LARGEST = 1 << 16
_MOST_READS = 256
_MOUNTS = ("proc/1/mountinfo", "proc/self/mountinfo")
_LOGGER = logging.getLogger(__name__)


class KernelEvents:
    """Waits for the kernel to tell something, or for somebody to call ``wake``.

    The mount table is that of process 1 below *root*: what the kubelet and the runtime unmount
    when a pod goes. ``wake`` may be called from a signal handler and from any thread.
    """

    def __init__(self, root: str) -> None:
        self._poll = select.poll()
        self._waker, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)[::-1]
        self._poll.register(self._woken, select.POLLIN)
        self._links = _subscribed()
        if self._links is not None:
            self._poll.register(self._links, select.POLLIN)
        self._mounts = _mount_table(root)
        if self._mounts is not None:
            self._poll.register(self._mounts, select.POLLPRI)
        self._log = LogNews(root)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._log.close()
        if self._links is not None:
            self._links.close()
        for descriptor in (self._waker, self._woken, self._mounts):
            if descriptor is not None:
                os.close(descriptor)

    def wake(self) -> None:
        """Let ``wait`` return now."""
        with contextlib.suppress(BlockingIOError):  # It is full of wake-ups already.
            os.write(self._waker, b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait for at most *seconds*; return whether the kernel told something.

        It may return earlier without anything: a line of the log that is no error, say.
        """
        log = self._log.descriptor
        if log is None and self._log.pause:
            seconds = min(seconds, self._log.pause)
        if log is not None:
            self._poll.register(log, select.POLLIN)
        try:
            ready = self._poll.poll(max(0.0, seconds) * 1000)
        finally:
            if log is not None:
                self._poll.unregister(log)
        news = [
            self._log.took() if descriptor == log else self._took(descriptor)
            for descriptor, _ in ready
        ]
        return any(news)

    def rest(self, seconds: float) -> None:
        """Hear nothing for *seconds* but ``wake``: what the kernel tells is kept until then."""
        alone = select.poll()
        alone.register(self._woken, select.POLLIN)
        alone.poll(seconds * 1000)

    def _took(self, descriptor: int) -> bool:
        """Take what a descriptor has to say; return whether it is news of the kernel."""
        if descriptor == self._woken:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            return False
        if self._links is not None and descriptor == self._links.fileno():
            self._drain(self._links)
        # The mount table has nothing to be read: asking for it (fs/proc_namespace.c: mounts_poll)
        # takes note of its present state.
        return True

    def _drain(self, links: socket.socket) -> None:
        for _ in range(_MOST_READS):
            try:
                links.recv(_LARGEST, socket.MSG_TRUNC)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # Lost messages are news as well.
                    raise


def _subscribed() -> socket.socket | None:
    """Return a socket that hears of links and namespace ids, as far as the kernel lets it."""
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        _LOGGER.warning("Kernel's news of links were refused, rounds go by time: why=%s", error)
        return None
    made.setblocking(False)
    made.bind((0, 0))
    for group in (_LINKS, _NSIDS):
        try:
            made.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            _LOGGER.warning("Kernel's news were refused: group=%s why=%s", group, error)
    return made


def _mount_table(root: str) -> int | None:
    """Return a descriptor of the mount table, of process 1 where that is allowed."""
    refused: list[str] = []
    for path in _paths(root):
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            refused.append(str(error))
    _LOGGER.warning("Kernel's news of mounts were refused: why=%s", "; ".join(refused))
    return None


def _paths(root: str) -> Iterable[str]:
    return (f"{root.rstrip('/')}/{path}" for path in _MOUNTS)
