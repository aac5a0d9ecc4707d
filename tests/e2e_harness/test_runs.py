from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

from kernelhealth_e2e import cgroups, runs
from kernelhealth_e2e.cache import locked
from kernelhealth_e2e.runs import Identity, Record

GONE = Identity(os.getpid(), 1)  # this pid, but started at another time


def own() -> Identity:
    identity = Identity.of(os.getpid())
    assert identity is not None
    return identity


def run_of(root: Path, record: Record | None) -> Path:
    run = root / f"{runs.PREFIX}{len(list(root.iterdir()))}"
    run.mkdir()
    if record:
        runs.save(run, record)
    return run


def test_a_record_survives_being_written_and_read(tmp_path: Path) -> None:
    record = Record(own(), (GONE,), kept=True)

    runs.save(tmp_path, record)

    assert runs.load(tmp_path) == record


def test_a_run_of_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    run = run_of(tmp_path, Record(own()))

    swept = runs.sweep(tmp_path)

    assert swept == ()
    assert run.exists()


def test_a_run_whose_owners_pid_belongs_to_another_process_now_is_removed(tmp_path: Path) -> None:
    run = run_of(tmp_path, Record(GONE))

    swept = runs.sweep(tmp_path)

    assert swept == (run.name,)
    assert not run.exists()


def test_a_run_without_a_readable_record_is_removed(tmp_path: Path) -> None:
    empty = run_of(tmp_path, None)
    torn = run_of(tmp_path, None)
    (torn / "run.json").write_text('{"owner": ')

    swept = runs.sweep(tmp_path)

    assert swept == (empty.name, torn.name)


def test_a_kept_run_is_removed_only_when_asked_for(tmp_path: Path) -> None:
    run = run_of(tmp_path, Record(GONE, kept=True))

    first = runs.sweep(tmp_path)
    second = runs.sweep(tmp_path, kept_too=True)

    assert first == ()
    assert second == (run.name,)


def test_a_run_is_not_removed_while_somebody_sweeps(tmp_path: Path) -> None:
    run = run_of(tmp_path, Record(own()))
    removal = threading.Thread(target=runs.remove, args=(run,))

    with locked(tmp_path / ".lock"):
        removal.start()
        removal.join(0.2)
        waited = removal.is_alive() and run.is_dir()
    removal.join(30)

    assert waited
    assert not run.exists()


def test_other_directories_are_never_touched(tmp_path: Path) -> None:
    other = tmp_path / "somebody-elses"
    other.mkdir()

    runs.sweep(tmp_path, kept_too=True)

    assert other.exists()


def test_only_the_very_process_that_was_recorded_is_killed() -> None:
    child = subprocess.Popen(("sleep", "600"))
    identity = Identity.of(child.pid)
    assert identity is not None

    replace(identity, started=identity.started + 1).kill()
    spared = identity.lives()
    child.send_signal(signal.SIGKILL)
    child.wait()

    assert spared
    assert not identity.lives()


def test_both_kinds_of_control_group_mounts_are_understood(tmp_path: Path) -> None:
    one, two = tmp_path / "v1", tmp_path / "v2"
    for controller in ("memory", "pids"):
        (one / controller).mkdir(parents=True)
        (one / controller / "cgroup.procs").touch()
    (one / "cpu").symlink_to("memory")
    two.mkdir()
    (two / "cgroup.controllers").touch()

    assert cgroups.hierarchies(one) == (one / "memory", one / "pids")
    assert cgroups.hierarchies(two) == (two,)
