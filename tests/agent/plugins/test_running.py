from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelhealth_agent.hosts import running, scripts
from kernelhealth_agent.hosts.plugins import Plugin, Runner
from kernelhealth_agent.hosts.running import Ending, Running, Script

WriteScript = Callable[..., str]
PATIENCE = 60.0
PATH = {"PATH": "/usr/bin:/bin"}


def ended(path: str, *arguments: str, timeout: float = PATIENCE) -> Ending:
    """Run a script to its end and reap it."""
    begun = scripts.started(Script(path, arguments, timeout), PATH)
    if not isinstance(begun, Running):
        return begun
    ending = begun.finished(lambda: False)
    begun.reaped()
    return ending


def is_gone(pid: int) -> bool:
    """Wait for the end of a process that is no child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor):
        return bool(select.select([descriptor], [], [], PATIENCE)[0])


def children() -> set[str]:
    """Return the children of this process, zombies among them; a thread that ended has none."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update((task / "children").read_text().split())
    return found


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A fifo that nobody writes to: who reads it waits."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)
    yield path
    os.close(holder)


@pytest.mark.parametrize("status", [0, 1, 2, 7])
def test_a_script_ends_with_its_status_and_what_it_said(script: WriteScript, status: int) -> None:
    path = script("echo the clock is $1", f"exit {status}")

    assert ended(path, "late") == Ending(status, "the clock is late")


def test_what_it_complains_of_is_told_where_it_says_nothing(script: WriteScript) -> None:
    assert ended(script("echo no clock >&2", "exit 2")) == Ending(2, "no clock")


def test_only_the_beginning_of_what_it_says_is_kept(script: WriteScript) -> None:
    ending = ended(script("head -c 100000 /dev/zero | tr '\\0' x"))

    assert ending == Ending(0, "x" * running.LARGEST)


def test_one_that_talks_without_end_is_killed(script: WriteScript) -> None:
    ending = ended(script("exec yes"))

    assert ending.status is None
    assert ending.wrong == "it said more than 1 MiB and was killed"


def test_after_its_time_it_is_killed_with_all_that_it_started(
    script: WriteScript, gate: Path
) -> None:
    path = script(f"cat {gate} &", "echo $!", f"cat {gate}")

    # Long enough for a shell to begin on a machine under load: what it has begun is to be killed.
    ending = ended(path, timeout=5.0)

    assert ending.status is None
    assert ending.wrong == "it did not end within 5 s and was killed"
    assert is_gone(int(ending.output))


def test_what_it_leaves_running_is_killed_and_not_waited_for(
    script: WriteScript, gate: Path
) -> None:
    ending = ended(script(f"cat {gate} &", "echo $!", "exit 1"))

    assert ending.status == 1
    assert is_gone(int(ending.output))


def test_one_that_dies_by_a_signal_has_no_status(script: WriteScript) -> None:
    assert ended(script("kill -SEGV $$")) == Ending(None, "", "it was ended by SIGSEGV")


def test_it_gets_a_session_of_its_own(script: WriteScript) -> None:
    ending = ended(script("cut -d' ' -f1,5,6 /proc/$$/stat"))

    pid, group, session = map(int, ending.output.split())
    assert pid == group == session
    assert session != os.getsid(0)


def test_it_inherits_no_descriptor_and_an_empty_input(script: WriteScript, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        ending = ended(script("cat; ls /proc/$$/fd"))
    finally:
        os.close(descriptor)

    # The shell has its script open besides, by a number that it chose.
    assert set(ending.output.split()) - {"10", "255"} == {"0", "1", "2"}


def test_its_environment_is_what_it_was_given(
    script: WriteScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")

    ending = ended(script("exec env"))

    assert "PATH=/usr/bin:/bin" in ending.output.splitlines()
    assert "SECRET" not in ending.output


def test_signals_that_python_ignores_end_it_as_anywhere(script: WriteScript) -> None:
    ending = ended(script("kill -PIPE $$", "echo still here"))

    assert ending == Ending(None, "", f"it was ended by {signal.SIGPIPE.name}")


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [(0o644, "it is not executable"), (0o757, "others than root may change it")],
)
def test_one_that_must_not_be_run_is_not(script: WriteScript, mode: int, complaint: str) -> None:
    ending = ended(script("touch ran", mode=mode))

    assert ending.status is None
    assert ending.wrong.startswith(complaint)


def test_one_that_is_not_there_or_no_program_is_said_to_be_so(
    script: WriteScript, tmp_path: Path
) -> None:
    Path(script("x", name="data")).write_text("no program\n")

    assert ended(str(tmp_path / "none")).wrong == (
        "it cannot be looked at: No such file or directory"
    )
    assert ended(str(tmp_path)).wrong == "it is no regular file"
    assert ended(str(tmp_path / "data")).wrong == "it could not be started: Exec format error"


def test_nothing_stays_open_and_no_child_stays(
    script: WriteScript, open_files: Callable[[], set[tuple[str, str]]]
) -> None:
    path = script("exit 1")
    ended(path)
    files, had = open_files(), children()

    for _ in range(20):
        ended(path)

    assert open_files() <= files
    assert children() <= had


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner(3, PATH)
    yield made
    made.close()


def test_a_plugin_is_run_once_an_interval(script: WriteScript, runner: Runner) -> None:
    path = script(f"echo x >> {script('', name='log')}", f"wc -l < {script('', name='log')}")
    often = Plugin("often", Script(path), 0.0)
    seldom = Plugin("seldom", Script(script("echo seldom", name="seldom.sh")), 3600.0)

    first = runner.results([often, seldom], PATIENCE)
    second = runner.results([often, seldom], PATIENCE)

    assert first["seldom"] is second["seldom"]
    assert first["often"] is not None
    assert second["often"] is not None
    assert int(second["often"].output) == int(first["often"].output) + 1


def test_a_round_does_not_wait_for_one_that_takes_long_and_never_starts_it_twice(
    script: WriteScript, runner: Runner, gate: Path
) -> None:
    plugin = Plugin("slow", Script(script(f"read line < {gate}", "echo $line"), (), PATIENCE), 0.0)

    assert runner.results([plugin], 0.0) == {"slow": None}
    assert runner.results([plugin], 0.0) == {"slow": None}
    gate.write_text("at last\n")
    late = runner.results([plugin], PATIENCE)

    assert late == {"slow": Ending(0, "at last")}


def test_the_last_result_stands_while_the_next_run_is_under_way(
    script: WriteScript, runner: Runner, gate: Path
) -> None:
    plugin = Plugin("slow", Script(script(f"read line < {gate}", "echo $line"), (), PATIENCE), 0.0)
    runner.results([plugin], 0.0)
    gate.write_text("first\n")
    runner.results([plugin], PATIENCE)

    assert runner.results([plugin], 0.0) == {"slow": Ending(0, "first")}


def test_a_result_says_nothing_any_more_when_the_next_one_is_long_overdue(
    script: WriteScript, gate: Path
) -> None:
    now = [0.0]
    runner = Runner(1, PATH, lambda: now[0])
    slow = Script(script(f"read line < {gate}", "echo $line"), (), PATIENCE)
    plugin = Plugin("slow", slow, 100.0)
    runner.results([plugin], 0.0)
    gate.write_text("first\n")
    runner.results([plugin], PATIENCE)

    now[0] = 100.0
    soon = runner.results([plugin], 0.0)
    now[0] = 100.0 + 2 * 100.0 + PATIENCE + 61.0
    late = runner.results([plugin], 0.0)

    runner.close()
    wrong = "it was due 321 s ago and has not ended since"
    assert soon == {"slow": Ending(0, "first")}
    assert late == {"slow": Ending(None, "", wrong)}


def test_no_more_run_at_a_time_than_the_file_allows(
    script: WriteScript, tmp_path: Path, gate: Path
) -> None:
    runner = Runner(1, PATH)
    path = script(
        f"mkdir {tmp_path}/busy || exit 3", f"read line < {gate}", f"rmdir {tmp_path}/busy"
    )
    plugins = [Plugin(name, Script(path, (), PATIENCE), 3600.0) for name in "abc"]
    runner.results(plugins, 0.0)

    # Each takes one line of the three: read takes no more than that from a fifo.
    gate.write_text("1\n2\n3\n")
    found = runner.results(plugins, PATIENCE)

    runner.close()
    assert [ending and ending.status for ending in found.values()] == [0, 0, 0]


def test_what_runs_when_the_agent_stops_is_killed_and_nothing_starts_again(
    script: WriteScript, runner: Runner, gate: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "begun")
    path = script(f"echo $$ > {tmp_path}/begun", f"read line < {gate}")
    plugin = Plugin("slow", Script(path, (), PATIENCE), 0.0)
    runner.results([plugin], 0.0)
    pid = int((tmp_path / "begun").read_text())

    runner.close()
    found = runner.results([plugin], PATIENCE)["slow"]

    assert is_gone(pid)
    assert found is not None
    assert found.status is None
    assert runner.results([plugin], 0.0) == {"slow": found}
