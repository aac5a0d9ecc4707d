"""A container with gssproxy's configuration on this kernel, and its healthy look-alikes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import gssproxy as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import gssproxy as source
from kernelhealth_api.detector import Observation, Severity
from kernelhealth_e2e.faults import gssproxy
from kernelhealth_e2e.faults.gssproxy import CONFIGURATION, container
from kernelhealth_e2e.faults.namespace import sandbox

DEFAULTS = detector.GssproxyParams()
CLONE_NEWNS = 0x20000
LOADED = Path("/proc/net/rpc/use-gss-proxy").exists()


@pytest.fixture
def observe(live: LiveHost, look: Callable[..., Inventory]) -> Callable[[int], list[Observation]]:
    """Look at this machine, and return what is said of one namespace."""

    def observed(inode: int) -> list[Observation]:
        found = detector.judge(source.collect(live, Occasion(look(), moments.now())), DEFAULTS)
        return [o for o in found if o.subject.namespace == inode]

    return observed


def test_a_container_is_found_with_file_and_line(
    observe: Callable[[int], list[Observation]],
) -> None:
    with container() as made:
        found = observe(made.inode)

    (configured,) = found
    assert configured.reason is detector.CONFIGURED
    assert configured.subject.file == "/etc/gssproxy/24-nfs-server.conf:6"
    assert f"[{made.pid}]" in str(configured.subject.process)
    assert (configured.severity is Severity.WARNING) == LOADED


def test_a_finding_is_over_when_its_container_ends(
    observe: Callable[[int], list[Observation]],
) -> None:
    with container() as made:
        assert observe(made.inode)

    assert observe(made.inode) == []


@pytest.mark.parametrize(
    "configuration",
    [
        pytest.param({}, id="no configuration"),
        pytest.param(
            {"n.conf": CONFIGURATION["24-nfs-server.conf"].replace("= yes\n  e", "= no\n  e")},
            id="switched off",
        ),
        pytest.param({"n.conf.rpmsave": CONFIGURATION["24-nfs-server.conf"]}, id="not read"),
    ],
)
def test_a_container_without_kernel_nfsd_is_healthy(
    configuration: dict[str, str], observe: Callable[[int], list[Observation]]
) -> None:
    with container(configuration) as made:
        assert observe(made.inode) == []


@pytest.mark.parametrize("flags", [0, CLONE_NEWNS], ids=["only a network", "and its own mounts"])
def test_a_process_with_the_hosts_own_files_is_healthy(
    flags: int, live: LiveHost, look: Callable[..., Inventory]
) -> None:
    with sandbox(flags) as made:
        sample = source.collect(live, Occasion(look(), moments.now()))

    assert made.inode not in {setting.space.inode for setting in sample.settings}


def test_the_command_line_runs_the_same_container(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    command = [sys.executable, "-m", gssproxy.__name__]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline().split()[-1])
        sample = source.collect(live, Occasion(look(), moments.now()))
        child.communicate()

    assert pid in {setting.pid for setting in sample.settings}
