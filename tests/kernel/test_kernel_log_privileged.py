"""The kernel's own log: a real complaint of the kernel, a healthy look-alike, and a forged line."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import kernel_log as detector
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.hosts.kernel_log import KernelLog
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import kmsg
from kernelhealth_agent.kernel.kernel_log import Sample
from kernelhealth_agent.kernel.log_memory import Memory
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import kernel_log as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults.damaged_filesystem import filesystem

PATIENCE = 60.0
_PROGRAMS = ("mkfs.ext4", "debugfs", "losetup", "mount")


@pytest.fixture
def programs() -> None:
    """What it takes to make a filesystem in a file."""
    if "ext4" not in Path("/proc/filesystems").read_text() or not all(map(shutil.which, _PROGRAMS)):
        pytest.skip("this machine has no ext4, or not its tools")


def looked(live: LiveHost, memory: Memory | None) -> Sample:
    """Look at the log alone: an inventory is of use for naming pods only."""
    moment = moments.now()
    nothing = Inventory("boot", moment.wall, Namespace(1), {}, frozenset(), (), {})
    return source.collect(live, Occasion(nothing, moment, memory))


def of(device: str, sample: Sample) -> dict[str, Observation]:
    """Return what is said of a device, by reason."""
    found = detector.judge(sample, detector.KernelLogParams())
    return {o.reason.name: o for o in found if o.subject.device == device}


@pytest.mark.usefixtures("programs")
def test_a_damaged_filesystem_is_told_and_a_whole_one_beside_it_is_not(
    live: LiveHost, tmp_path: Path
) -> None:
    before = looked(live, None).memory
    with (
        filesystem(tmp_path / "whole", damaged=False) as whole,
        filesystem(tmp_path / "damaged", damaged=True) as damaged,
    ):
        assert whole.touch()
        assert not damaged.touch()

        during = looked(live, before)
    after = looked(live, during.memory)

    new = [h for h in during.memory.happenings if h.last > before.uptime]
    devices = {h.fields["device"] for h in new if "device" in h.fields}
    assert damaged.device in devices
    assert whole.device not in devices
    found = of(damaged.device, during)
    assert {"FilesystemCorrupted", "FilesystemReadOnly"} <= set(found)
    assert "EXT4-fs error" in found["FilesystemCorrupted"].message
    assert ", still mounted" in found["FilesystemReadOnly"].message
    assert of(damaged.device, after).get("FilesystemReadOnly") != found["FilesystemReadOnly"]


@pytest.mark.usefixtures("programs")
def test_a_complaint_of_the_kernel_wakes_who_waits(tmp_path: Path) -> None:
    with (
        filesystem(tmp_path / "damaged", damaged=True) as damaged,
        KernelEvents("/") as events,
    ):
        damaged.touch()
        deadline = time.monotonic() + PATIENCE
        while not (woken := events.wait(deadline - time.monotonic())):
            assert time.monotonic() < deadline

    assert woken


def test_a_line_that_a_program_wrote_is_read_and_not_believed(
    live: LiveHost,
) -> None:
    before = looked(live, None).memory
    line = f"BUG: Bad page state in process {uuid.uuid4().hex[:12]}  pfn:1499f4"
    descriptor = os.open("/dev/kmsg", os.O_WRONLY)
    try:
        # A line without an end could still go on: the kernel shows it to nobody before the next.
        os.write(descriptor, f"<1>{line}\n".encode())
    finally:
        os.close(descriptor)

    after = looked(live, before)

    written = [r for r in kmsg.records(live.probe(KernelLog())) if r.text == line]
    assert [(r.priority, r.is_kernels) for r in written] == [(1, False)]
    assert not [h for h in after.memory.happenings if h.line == line]


def test_the_kernels_numbers_go_on_without_a_gap(live: LiveHost) -> None:
    records = kmsg.records(live.probe(KernelLog()))

    assert kmsg.lost(records) == 0
    assert [r.sequence for r in records] == sorted({r.sequence for r in records})


def test_a_thousand_looks_leave_no_descriptor_open(
    live: LiveHost, open_files: Callable[[], set[tuple[str, str]]]
) -> None:
    before = open_files()

    for _ in range(1000):
        live.probe(KernelLog())

    assert open_files() <= before
