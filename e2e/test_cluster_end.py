"""How a cluster ends: by a crash of its maker, by SIGTERM, or long after its maker has gone."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernelhealth_e2e import cgroups, runs
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.processes import has_ended
from kernelhealth_e2e.resources import ROOT
from kernelhealth_e2e.runs import Identity

MAKER = """
import sys
from pathlib import Path
from kernelhealth_e2e import interruption
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster, Settings
from kernelhealth_e2e.progress import Progress
binaries, root, cache, keep = sys.argv[1:]
settings = Settings(Path(binaries), Path(root), Cache(Path(cache)), Progress(), keep=keep == "keep")
with interruption.unwinding(), Cluster(settings) as cluster:
    print(cluster.run, flush=True)
    if keep != "keep":
        sys.stdin.read()
"""
DEADLINE_SECONDS = 120
UP_SECONDS = 600


def test_a_killed_maker_takes_its_cluster_along_and_the_next_start_removes_the_rest(
    cluster: Cluster, tmp_path: Path
) -> None:
    with maker(cluster, tmp_path, "bound") as child:
        run = announced(child)
        members = processes_of(run)

        child.kill()
        child.wait()
        for member in members:
            await_end(member)
        swept = runs.sweep(tmp_path)

    assert len(members) >= 2
    assert swept == (run.name,)
    assert not run.exists()
    assert not groups_of(run)


def test_a_maker_that_is_asked_to_end_removes_everything_itself(
    cluster: Cluster, tmp_path: Path
) -> None:
    with maker(cluster, tmp_path, "bound") as child:
        run = announced(child)

        child.send_signal(signal.SIGTERM)
        status = child.wait(DEADLINE_SECONDS)

    assert status == 128 + signal.SIGTERM
    assert not run.exists()
    assert not groups_of(run)


def test_a_kept_cluster_outlives_its_maker_until_it_is_taken_down(
    cluster: Cluster, tmp_path: Path
) -> None:
    with maker(cluster, tmp_path, "keep") as child:
        run = announced(child)
        status = child.wait(DEADLINE_SECONDS)
        members = processes_of(run)

        left_alone = runs.sweep(tmp_path)
        alive = all(member.lives() for member in members)
        taken_down = runs.sweep(tmp_path, kept_too=True)

    assert status == 0
    assert left_alone == ()
    assert alive
    assert taken_down == (run.name,)
    assert not any(member.lives() for member in members)
    assert not groups_of(run)


@contextmanager
def maker(cluster: Cluster, root: Path, keep: str) -> Iterator[subprocess.Popen[str]]:
    settings = cluster.settings
    arguments = (str(settings.binaries), str(root), str(settings.cache.root), keep)
    child = subprocess.Popen(
        (sys.executable, "-c", MAKER, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "e2e")},
    )
    with child:
        try:
            yield child
        finally:
            child.kill()
            runs.sweep(root, kept_too=True)


def announced(child: subprocess.Popen[str]) -> Path:
    assert child.stdout is not None
    if not select.select([child.stdout], [], [], UP_SECONDS)[0]:
        pytest.fail(f"the cluster was not up within {UP_SECONDS} s; the maker's messages are above")
    line = child.stdout.readline()
    if not line:
        pytest.fail("the maker ended before its cluster was up; its messages are above")
    return Path(line.strip())


def processes_of(run: Path) -> tuple[Identity, ...]:
    record = runs.load(run)
    assert record is not None
    return record.processes


def groups_of(run: Path) -> list[Path]:
    groups = (hierarchy / run.name for hierarchy in cgroups.hierarchies())
    return [group for group in groups if group.exists()]


def await_end(member: Identity) -> None:
    try:
        descriptor = os.pidfd_open(member.pid)
    except ProcessLookupError:
        return
    try:
        if member.lives():
            assert has_ended(descriptor, DEADLINE_SECONDS)
    finally:
        os.close(descriptor)
