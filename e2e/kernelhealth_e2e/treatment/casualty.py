"""A program that kills the agent's surgery at every single step, and starts it again.

It is given a directory and a kind of request. For each step (a system call of the journal, or a
deed) it has a child of its own killed right before and right after that step, lets a second child
attend to the same request again, and prints what was done in all as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelhealth_agent.attendance import Attendance
from kernelhealth_api.v1alpha1.request import RequestStatus
from kernelhealth_e2e.treatment.ward import Scratch, Ward, reboot, request, seen

STEPS = ("open", "write", "fsync", "unlink")


class Killer:
    """Kills this process at its step of that number: even before it, odd after it."""

    def __init__(self, number: int) -> None:
        self.left = number

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return *call* with a step before it and one after it."""

        def killing(*arguments: Any, **named: Any) -> Any:
            self.count()
            result = call(*arguments, **named)
            self.count()
            return result

        return killing

    def count(self) -> None:
        """Make a step, which may be the last one."""
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def attend(directory: Path, kind: str) -> RequestStatus:
    """Attend to the request once, as an agent does that was just started."""
    ward = Ward(directory)
    hook = str(directory / "hook.sock")
    practice = ward.practice(hook=hook) if kind == "reboot" else ward.practice()
    wanted = reboot("id-1") if kind == "reboot" else request("id-1")
    recorded = practice.recorded(wanted)
    if recorded is not None:
        return recorded
    return Attendance(wanted, seen("a", "b"), practice).conduct(lambda _: None, lambda: True)


def child(work: Callable[[], None]) -> int:
    """Do *work* in a process of its own and return how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - It is told by the exit code.
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def killed(directory: Path, kind: str, number: int) -> int:
    """Attend to the request until the step of that number."""

    def work() -> None:
        killer = Killer(number)
        Scratch.do = killer.around(Scratch.do)  # type: ignore[method-assign]
        for name in STEPS:
            setattr(os, name, killer.around(getattr(os, name)))
        attend(directory, kind)

    return child(work)


def again(directory: Path, kind: str) -> int:
    """Attend to the request twice more, undisturbed, and keep both answers."""

    def work() -> None:
        for answer in ("first.json", "second.json"):
            said = attend(directory, kind)
            (directory / answer).write_text(said.model_dump_json(by_alias=True))

    return child(work)


def main() -> None:
    """Go through all steps, until one is beyond the end."""
    base, kind = Path(sys.argv[1]), sys.argv[2]
    number, status = 0, signal.SIGKILL.value
    while status == signal.SIGKILL:
        directory = base / str(number)
        directory.mkdir()
        if kind == "reboot":
            (directory / "hook.sock").symlink_to(base / "hook.sock")
        status = killed(directory, kind, number)
        print(
            json.dumps(
                {
                    "killed": status == signal.SIGKILL,
                    "status": status,
                    "before": {key: Ward(directory).lines(key) for key in ("a", "b")},
                    "again": again(directory, kind),
                    "after": {key: Ward(directory).lines(key) for key in ("a", "b")},
                    "first": json.loads((directory / "first.json").read_text()),
                    "second": json.loads((directory / "second.json").read_text()),
                }
            ),
            flush=True,
        )
        number += 1


if __name__ == "__main__":
    main()
