"""What the child does, step by step; it says each on its standard output.

First of all it makes sure that it is the only one. Then it finds out whether namespaces are made
and destroyed at all, and only after that, in another one, whether netfilter does as it is told.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import time
from collections.abc import Callable

from kernelhealth_agent.canary import calls, links, rules

_COMM = "khcanary"
_QUOTA = "/proc/sys/user/max_net_namespaces"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.5
_ATTEMPTS = 40


def main(argv: list[str]) -> None:
    """Be a canary. The kernel kills it when the agent is no more."""
    asked = _parser().parse_args(argv)
    calls.name_process(_COMM)
    if not _locked():
        say("busy")
        return
    for name in asked.clean:
        with contextlib.suppress(OSError):
            links.delete(name)
            say(f"cleaned {name}")
    released = _prepared(veth=asked.veth)
    if released is None or not _born(released):
        say("done")
        return
    started = time.monotonic()
    _await(released)
    say(f"gone {time.monotonic() - started:.6f}")
    if asked.netfilter is not None:
        if released.form == "veth":  # With a quota this process is in another one already.
            calls.unshare(calls.NEWNET)
        say(f"netfilter {rules.round_trip(asked.netfilter)}")
    say("done")


def say(line: str) -> None:
    """Write one line at once."""
    os.write(1, f"{line}\n".encode())


class _Released:
    """Tells whether the namespace is gone, in one of two forms.

    With a quota of one namespace for the child's own user namespace, another is allowed when the
    first is destroyed: the kernel gives it back at the very end (net/core/net_namespace.c:
    cleanup_net, dec_net_namespaces). With a veth pair, its other end in the host's namespace goes
    when the links of the namespace do, which is earlier.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self.device = f"khc{os.getpid()}" if form == "veth" else ""

    def __call__(self) -> bool:
        if self.device:
            return not links.exists(self.device)
        return calls.made_another_namespace()


def _prepared(*, veth: bool) -> _Released | None:
    """Return the form that is possible here, ready to be used; None after saying why none is."""
    why = f"{_QUOTA} is not there or read-only"
    if _may_be_written(_QUOTA):
        try:
            calls.unshare(calls.NEWUSER)
            with open(_QUOTA, "w", encoding="ascii") as file:  # noqa: PTH123 - Costs an import.
                file.write("1")
        except OSError as error:
            why = f"no user namespace can be made: {error.strerror}"
        else:
            say("form quota")
            return _Released("quota")
    if veth:
        say("form veth")
        return _Released("veth")
    say(f"impossible {why}, and the module veth is not loaded")
    return None


def _may_be_written(path: str) -> bool:
    """Whether a file is there and on no read-only mount; who may write it is another question.

    In a user namespace of its own the child may, whatever the agent may (kernel/ucount.c).
    """
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError:
        return False


def _born(released: _Released) -> bool:
    """Let a process make a namespace and end; return whether it could."""
    say_ready, ready = os.pipe()
    owner = os.fork()
    if owner == 0:
        os.close(ready)
        os.read(say_ready, 1)
        _own(released)
    say(f"owner {owner}")
    os.close(ready)
    os.close(say_ready)
    return os.waitstatus_to_exitcode(os.waitpid(owner, 0)[1]) == 0


def _own(released: _Released) -> None:
    """Make the namespace, say how long it took, and end, so that it ends as well."""
    code = 1
    try:
        calls.die_with_parent()
        started = time.monotonic()
        calls.unshare(calls.NEWNET)
        taken = time.monotonic() - started
        if _connected(released):
            say(f"created {taken:.6f}")
            code = 0
    except PermissionError as error:
        say(f"impossible no network namespace may be made: {error.strerror}")
    except OSError as error:
        say(f"refused {error.strerror}")
    finally:
        os._exit(code)


def _connected(released: _Released) -> bool:
    """Make the pair of devices where one is needed; False after saying why there is none."""
    try:
        if released.device:
            links.add_pair(released.device, os.getppid())
    except OSError as error:
        say(f"impossible no veth pair can be made: {error.strerror}")
        return False
    return True


def _await(released: Callable[[], bool]) -> None:
    """Ask again and again, more and more seldom: neither form can be waited for."""
    pause = _FIRST_PAUSE
    while not released():
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.2)


def _locked() -> bool:
    """Take the one lock that there is, for as long as this process and its children live."""
    descriptor = os.open(__file__, os.O_RDONLY | os.O_CLOEXEC)
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # A healthy one takes no longer than that.
        except OSError:
            return True  # The file system has no locks; the agent counts its children itself.
        else:
            return True
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_COMM)
    parser.add_argument("--veth", action="store_true", help="a veth pair may be made")
    parser.add_argument("--netfilter", type=int, help="try netfilter in this family")
    parser.add_argument("--clean", action="append", default=[], help="a device to delete")
    return parser
