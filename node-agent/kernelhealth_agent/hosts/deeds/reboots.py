"""Reboots: by the service manager, by the kernel at once, or by whoever listens at a hook."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import confined
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_api.v1alpha1.request import RebootMethod

_SIGNAL = 34 + 5
"""SIGRTMIN+5, which systemd(1) takes for "start reboot.target". glibc counts from 34, and so does
systemd; a C library that counts from elsewhere (musl) must not be asked."""
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""include/linux/proc_ns.h: PROC_PID_INIT_INO."""
_AUTOBOOT = 0x01234567
"""include/uapi/linux/reboot.h: LINUX_REBOOT_CMD_RESTART."""
_SYNC_SECONDS = 10.0
_HOOK_SECONDS = 30.0
_LONGEST_ANSWER = 512


class UnansweredError(Exception):
    """A reboot was asked for, and nobody said whether it comes."""


@dataclass(frozen=True, slots=True)
class CleanReboot:
    """systemd stops all services, unmounts all file systems, and reboots."""

    name: ClassVar[str] = "a clean reboot by systemd"
    host_wide: ClassVar[bool] = True

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Tell process 1 to reboot; ``HostError`` where it would not understand."""
        _check_pid_namespace(root)
        init = _text(f"{root.rstrip('/')}/proc/1/comm").strip()
        if init != "systemd":
            raise errors.AbsentError(
                "proc/1/comm", f"says {init!r}, and only systemd is known to take the signal:"
                " use the method Forced, or set KERNELHEALTH_REBOOT_HOOK",
            )  # fmt: skip
        os.kill(1, _SIGNAL)


@dataclass(frozen=True, slots=True)
class ForcedReboot:
    """The kernel reboots at once; what is in memory is written to the disks if that works."""

    name: ClassVar[str] = "a forced reboot by the kernel"
    host_wide: ClassVar[bool] = True

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Sync for a while and reboot, reboot(2); ``OSError`` where the kernel refuses."""
        _check_pid_namespace(root)
        # A node that is this sick may have a disk that never answers.
        syncing = threading.Thread(target=os.sync, name="sync", daemon=True)
        syncing.start()
        syncing.join(_SYNC_SECONDS)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.reboot(_AUTOBOOT) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"reboot(2): {os.strerror(number)}: it takes CAP_SYS_BOOT")


@dataclass(frozen=True, slots=True)
class HookedReboot:
    """Whoever listens on the unix socket *path*, of the host, reboots it in its own way.

    It is sent ``reboot BOOT_ID REQUEST_ID`` as one line, and answers with a line whose first word
    is ``ok``, or else says why not.
    """

    path: str
    boot_id: str
    request_id: str
    host_wide: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Who is asked."""
        return f"a reboot by the hook {self.path}"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Ask and hear the answer; ``OSError`` where nobody is there, or says no.

        ``UnansweredError`` where it was asked, and did not say a word.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            asked.settimeout(_HOOK_SECONDS)
            _connect(asked, root, self.path)
            try:
                asked.sendall(f"reboot {self.boot_id} {self.request_id}\n".encode())
                with asked.makefile("rb") as answers:
                    line = answers.readline(_LONGEST_ANSWER)
            except OSError as error:
                raise UnansweredError(f"{self.path}: {error}") from error
        words = line.decode(errors="replace").strip()
        if not words:
            raise UnansweredError(f"{self.path} closed the connection")
        if words.partition(" ")[0].rstrip(":") != "ok":
            raise ConnectionRefusedError(f"the hook {self.path} answered {words!r}")


def deed(method: RebootMethod, boot_id: str, request_id: str, hook: str | None) -> Deed:
    """Return the deed that reboots by *method*, or by the socket *hook* where the host has one."""
    if hook is not None:
        return HookedReboot(hook, boot_id, request_id)
    return ForcedReboot() if method is RebootMethod.FORCED else CleanReboot()


def _connect(asked: socket.socket, root: str, path: str) -> None:
    """Connect to a socket of the host, whose links (/var/run, say) lead elsewhere from here."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with confined.opened(top, path) as found:
            asked.connect(f"/proc/self/fd/{found}")
    finally:
        os.close(top)


def _check_pid_namespace(root: str) -> None:
    """Raise ``AbsentError`` where process 1 is not the host's, so that nobody else is meant."""
    path = "proc/self/ns/pid"
    if os.stat(f"{root.rstrip('/')}/{path}").st_ino != _INITIAL_PID_NAMESPACE:
        raise errors.AbsentError(path, "is not the host's: the agent needs hostPID")


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(256)
