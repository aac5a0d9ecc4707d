"""A container that runs gssproxy with ``kernel_nfsd = yes``, as far as anyone outside can tell.

It has its own network namespace, mount namespace and root directory, the configuration in it, and a
listener where gssproxy has one. Only when told to, and where the kernel has auth_rpcgss, it writes
the 1 that gssproxy writes: **that namespace leaks until the module is unloaded or the machine
boots**.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pathlib
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_PR_SET_PDEATHSIG = 1
_STATE = "/proc/thread-self/net/rpc/use-gss-proxy"
_SOCKET = "/var/run/gssproxy.sock"

CONFIGURATION = {
    "gssproxy.conf": "[gssproxy]\n",
    "24-nfs-server.conf": """\
[service/nfs-server]
  mechs = krb5
  socket = /run/gssproxy.sock
  cred_store = keytab:/etc/krb5.keytab
  trusted = yes
  kernel_nfsd = yes
  euid = 0
""",
}


@dataclass(frozen=True, slots=True)
class Container:
    """The process; *written*: the kernel took the 1, so that its namespace will leak."""

    pid: int
    inode: int
    written: bool


@contextlib.contextmanager
def container(
    configuration: Mapping[str, str] | None = None, *, write: bool = False
) -> Iterator[Container]:
    """Start the container; *configuration* are the files of /etc/gssproxy by name.

    With *write* its network namespace leaks for good where the kernel has auth_rpcgss.
    """
    files = CONFIGURATION if configuration is None else configuration
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryDirectory(prefix="kernelhealth-fault-") as root:
        pid = os.fork()
        if pid == 0:
            _be_container(theirs, root, files, write=write)
        theirs.close()
        try:
            answer = ours.recv(256).decode()
            if answer not in {"written", "running"}:
                raise OSError(f"the container did not start: {answer or 'it died'}")
            inode = pathlib.Path(f"/proc/{pid}/ns/net").stat().st_ino
            yield Container(pid, inode, answer == "written")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _be_container(
    ready: socket.socket, root: str, files: Mapping[str, str], *, write: bool
) -> None:
    """Move in, say so, and stay until killed; never returns."""
    try:
        _enter(root, files)
        with contextlib.ExitStack() as stack:
            state = None
            if write and pathlib.Path(_STATE).exists():
                # Opened before the root directory changes, since there is no proc below the new.
                state = stack.enter_context(open(_STATE, "wb", buffering=0))  # noqa: PTH123
            os.chroot(root)
            os.chdir("/")
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(_SOCKET)
            listener.listen()
            if state is not None:
                state.write(b"1")
            ready.send(b"running" if state is None else b"written")
            while True:
                select.select([], [], [])
    except BaseException as error:  # noqa: BLE001 - nothing may return into the parent's code.
        ready.send(str(error).encode()[:256] or b"failed")
    finally:
        os._exit(1)


def _enter(root: str, files: Mapping[str, str]) -> None:
    """Make the namespaces, and a file system at *root* that nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _checked(libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS))
    _checked(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    _checked(libc.mount(b"tmpfs", root.encode(), b"tmpfs", 0, None))
    folder = pathlib.Path(root, "etc/gssproxy")
    folder.mkdir(parents=True)
    pathlib.Path(root + _SOCKET).parent.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    """Run the container until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="gssproxy", description=__doc__, epilog="example: gssproxy --kernel-nfsd no"
    )
    parser.add_argument("--kernel-nfsd", default="yes", help="the value in the configuration")
    parser.add_argument(
        "--write", action="store_true", help="write the 1: leaks where auth_rpcgss is loaded"
    )
    arguments = parser.parse_args()
    files = {
        name: text.replace("kernel_nfsd = yes", f"kernel_nfsd = {arguments.kernel_nfsd}")
        for name, text in CONFIGURATION.items()
    }
    with container(files, write=arguments.write) as made:
        print(f"{'wrote 1' if made.written else 'running'} as process {made.pid}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
