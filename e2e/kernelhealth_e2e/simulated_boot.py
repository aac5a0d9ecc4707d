"""Runs a node's kubelet, and plays a reboot of the node when its hook is asked for one.

**A simulation**: nothing is booted, the kernel is this machine's and goes on. What people see of a
boot from outside is played from inside the node: the kubelet ends, and with it every process of a
pod and every fault maker; the directories of ``/run`` that are our agent's are gone; the file that
the node sees as ``/proc/sys/kernel/random/boot_id`` (``guest/boot.sh``) says another id; then the
kubelet starts again. Not played: containerd and the control plane, which stands for another
machine, go on; mounts and links stay until the kubelet tidies them up; the clock, the uptime and
what the kernel holds without any process stay as they are.

What is asked for and answered stands in ``kernelhealth_agent/hosts/deeds/reboots.py``.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

SOCKET = "/run/kernelhealth-reboot.sock"
"""Where manifests/overlays/demo tells the agent to ask (KERNELHEALTH_REBOOT_HOOK)."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_GONE = Path("/run/kernelhealth")
_FAULTS = b"kernelhealth_e2e.faults."
_END_MILLISECONDS = 10_000
_ASK_SECONDS = 10.0
_LONGEST = 1024


def main(argv: list[str]) -> int:
    """Run the command *argv*, anew after each boot, and return how it ended by itself."""
    with _listening() as listener:
        while True:
            with subprocess.Popen(argv) as kubelet:
                if not _asked(listener, kubelet):
                    return kubelet.wait()
                kubelet.kill()
            _boot()


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    Path(SOCKET).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(SOCKET)
        listener.listen()
        yield listener


def _asked(listener: socket.socket, kubelet: subprocess.Popen[bytes]) -> bool:
    """Wait until a boot is asked for; False when the kubelet has ended before that."""
    descriptor = os.pidfd_open(kubelet.pid)
    try:
        while True:
            ready, _, _ = select.select([listener.fileno(), descriptor], [], [])
            if descriptor in ready:
                return False
            if _agreed(listener):
                return True
    finally:
        os.close(descriptor)


def _agreed(listener: socket.socket) -> bool:
    """Hear who asks, and answer; tell whether the answer was yes."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_ASK_SECONDS)
        words = connection.makefile("rb").readline(_LONGEST).decode(errors="replace").split()
        against = _objection(words)
        answer = f"no: {against}" if against else "ok: a simulated boot follows"
        connection.sendall(f"{answer}\n".encode())
        print(f"reboot hook: {words}: {answer}", file=sys.stderr, flush=True)
        return not against
    return False


def _objection(words: list[str]) -> str:
    current = BOOT_ID.read_text().strip()
    match words:
        case ["reboot", boot_id, _]:
            return "" if boot_id == current else f"the node runs boot {current}"
    return "expected one line: reboot BOOT_ID REQUEST_ID"


def _boot() -> None:
    """Do what a boot does to what is seen from outside."""
    while pids := list(_mortals()):
        for pid in pids:
            _kill(pid)
    if _GONE.exists():
        shutil.rmtree(_GONE)
    BOOT_ID.write_text(f"{uuid.uuid4()}\n")


def _mortals() -> Iterator[int]:
    """Yield the processes that a boot would end: those of pods, and what makes faults."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and int(entry.name) != os.getpid() and _is_mortal(entry.path):
            yield int(entry.name)


def _is_mortal(path: str) -> bool:
    try:
        state = Path(path, "stat").read_text().rpartition(")")[2].split()[0]
        group, command = Path(path, "cgroup").read_text(), Path(path, "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX" and ("/kubepods" in group or _FAULTS in command)


def _kill(pid: int) -> None:
    """Kill a process and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(_END_MILLISECONDS):
                raise TimeoutError(f"process {pid} did not end within 10 s of SIGKILL")
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
