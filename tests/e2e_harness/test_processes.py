from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from kernelhealth_e2e import processes
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.processes import Command, Process

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


def started(tmp_path: Path, code: str) -> Process:
    return processes.start(Command("child", (sys.executable, "-c", code), tmp_path / "log"))


def test_a_process_that_dies_before_it_is_ready_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    process = started(tmp_path, "print('no such key'); raise SystemExit(3)")

    with pytest.raises(ProcessError, match=r"child ended with status 3; (.|\n)*no such key"):
        process.await_ready(lambda: False, seconds=60)


def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    process = started(tmp_path, "import signal; signal.pause()")

    with pytest.raises(ProcessError, match="was not ready after 0 s"):
        process.await_ready(lambda: False, seconds=0.2)
    process.kill()


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, STUBBORN)
    process.await_ready(lambda: "ready" in (tmp_path / "log").read_text(), seconds=60)

    process.stop(grace=0.1)

    assert process.popen.returncode == -signal.SIGKILL


def test_the_whole_group_ends(tmp_path: Path) -> None:
    code = (
        "import subprocess as s; p = s.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    )
    process = started(tmp_path, code)
    process.await_ready(lambda: (tmp_path / "log").read_text().endswith("\n"), seconds=60)
    grandchild = os.pidfd_open(int((tmp_path / "log").read_text()))

    process.stop()
    ended = processes.has_ended(grandchild, seconds=60)
    os.close(grandchild)

    assert ended


def test_stopping_twice_is_no_error(tmp_path: Path) -> None:
    process = started(tmp_path, "import signal; signal.pause()")

    process.stop()
    process.stop()

    assert not process.is_running()


def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(ProcessError, match=r"ended with status 7: out of luck"):
        processes.output(("sh", "-c", "echo out of luck >&2; exit 7"))


def test_a_command_reads_what_it_is_given() -> None:
    printed = processes.output(("cat",), stdin="words")

    assert printed == "words"


def test_the_start_time_of_no_process_is_none() -> None:
    process = processes.start_time(2**22 + 1)

    assert process is None
