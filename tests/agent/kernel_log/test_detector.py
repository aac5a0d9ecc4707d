from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import kernel_log as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.kernel_log import Sample
from kernelhealth_agent.kernel.log_memory import Memory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import kernel_log as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Memory]]]
Copied = Callable[[str], Path]
DEFAULTS = detector.KernelLogParams()
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
SICK = sorted(
    host.name for host in HOSTS.glob("kernel_log-*") if host.name.split("-")[1] != "healthy"
)


def looked(recorded: Recorded, name: str | Path, *, later: float = 0.0) -> Sample:
    """Look as long after the boot as the recording says."""
    host, occasion = recorded(name)
    said = host.recording()
    moment = dataclasses.replace(occasion.moment, uptime=said["uptime"] + later)
    memory = source.SOURCE.recalled(said.get("memories", {}).get("kernel_log"))
    return source.collect(host, dataclasses.replace(occasion, moment=moment, memory=memory))


def again(recorded: Recorded, name: str | Path, past: Sample, later: float) -> Sample:
    """Look at a host once more, with what is remembered as the state file keeps it."""
    host, occasion = recorded(name)
    kept = TypeAdapter(Memory).dump_json(past.memory)
    memory = source.SOURCE.recalled(json.loads(kept))
    moment = past.moment.after(later)
    return source.collect(host, dataclasses.replace(occasion, moment=moment, memory=memory))


def judged(sample: Sample, **params: Any) -> list[Observation]:
    return list(detector.judge(sample, detector.KernelLogParams(**params)))


def severity(observation: Observation) -> Severity:
    return observation.severity or observation.reason.severity


def reasons(observations: list[Observation]) -> dict[str, Severity]:
    return {found.reason.name: severity(found) for found in observations}


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(HOSTS / name, target, symlinks=True)
        return target

    return made


@pytest.mark.parametrize("name", ["kernel_log-healthy-busy", "kernel_log-unregister-once"])
def test_a_busy_healthy_node_has_no_finding(name: str, recorded: Recorded) -> None:
    assert judged(looked(recorded, name)) == []


def test_one_line_of_a_device_that_is_waited_for_is_counted_only(recorded: Recorded) -> None:
    sample = looked(recorded, "kernel_log-unregister-once")

    assert sample.memory.events == {"UnregisterNetdevice": 1}


def test_the_report_of_a_leaking_kernel_is_four_kinds_of_damage(recorded: Recorded) -> None:
    observations = judged(looked(recorded, "kernel_log-damaged-4.12"))

    assert reasons(observations) == {
        "BadPageState": Severity.CRITICAL,
        "DentryStillInUse": Severity.CRITICAL,
        "BusyInodes": Severity.CRITICAL,
        "KernelOops": Severity.CRITICAL,
    }


def test_a_bad_page_is_told_in_one_sentence_with_all_that_is_known(recorded: Recorded) -> None:
    observations = judged(looked(recorded, "kernel_log-damaged-4.12"))

    (found,) = [found for found in observations if found.reason.name == "BadPageState"]
    assert found.subject.process == "ip6tables-save"
    assert found.subject.device == "page frame 1499f4"
    assert str(found.began) == "2025-12-31 17:48:19.207570+00:00"
    assert found.cures == ("Reboot",)
    assert found.message == (
        "The kernel found a page of memory in a bad state (page frame 1499f4, task ip6tables-save):"
        " data may be corrupted, and such pages are lost; drain the node and reboot it, and test"
        " its memory should it come again; the log says"
        ' "BUG: Bad page state in process ip6tables-save  pfn:1499f4".'
    )


def test_damage_is_told_until_the_next_boot(recorded: Recorded) -> None:
    name = "kernel_log-damaged-4.12"
    sample = looked(recorded, name)

    later = again(recorded, name, sample, 30 * 86400.0)

    assert {o.reason.name: o.began for o in judged(later)} == {
        o.reason.name: o.began for o in judged(sample)
    }


def test_what_was_read_is_not_counted_twice(recorded: Recorded) -> None:
    name = "kernel_log-damaged-4.12"
    sample = looked(recorded, name)

    later = again(recorded, name, sample, 60.0)

    assert later.memory.events == sample.memory.events
    assert later.memory.happenings == sample.memory.happenings


def test_a_hung_task_is_named_with_its_pod_while_it_waits(recorded: Recorded) -> None:
    (found,) = judged(looked(recorded, "kernel_log-hung-task"))

    assert found.reason.name == "HungTasks"
    assert severity(found) is Severity.WARNING
    assert found.subject.process == "touch[230]"
    assert found.subject.pod == "batch/nfs-client-0"
    assert found.subject.pod_known_by == "cgroup"
    assert "task touch[230] of pod batch/nfs-client-0" in found.message
    assert ", still waiting" in found.message


def test_a_task_that_still_hangs_is_not_forgotten(recorded: Recorded) -> None:
    name = "kernel_log-hung-task"

    later = again(recorded, name, looked(recorded, name), 5 * 86400.0)

    assert [o.reason.name for o in judged(later)] == ["HungTasks"]


def test_a_task_that_goes_on_is_forgotten_after_a_while(recorded: Recorded, copied: Copied) -> None:
    directory = copied("kernel_log-hung-task")
    stat = directory / "proc" / "230" / "stat"
    stat.write_text(stat.read_text().replace(" D ", " S "))
    sample = looked(recorded, directory)

    later = again(recorded, directory, sample, 3700.0)

    assert ", not waiting any more" in judged(sample)[0].message
    assert judged(later) == []
    assert len(judged(later, forget_after=timedelta(hours=3))) == 1


def test_another_process_with_that_number_is_not_the_one_that_hung(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-hung-task")
    stat = directory / "proc" / "230" / "stat"
    stat.write_text(stat.read_text().replace("(touch)", "(nginx)"))

    (found,) = judged(looked(recorded, directory))

    assert found.subject.pod is None
    assert ", not waiting any more" in found.message


def test_lockups_and_stalls_are_one_finding_each_with_a_count(recorded: Recorded) -> None:
    observations = judged(looked(recorded, "kernel_log-stalled-4.14"))

    assert reasons(observations) == {
        "SoftLockup": Severity.CRITICAL,
        "RCUStall": Severity.CRITICAL,
        "WorkqueueLockup": Severity.WARNING,
    }
    lockup = next(o for o in observations if o.reason.name == "SoftLockup")
    assert lockup.measure is not None
    assert lockup.measure.value == 2
    assert lockup.subject.device == "cpu5"
    assert "(in move_expired_inodes, cpu5, task kworker/u16:4[103]" in lockup.message


def test_a_single_stall_is_no_more_than_a_warning(recorded: Recorded) -> None:
    sample = looked(recorded, "kernel_log-stalled-4.14")

    observations = judged(sample, critical_rcu_stalls=3)

    assert reasons(observations)["RCUStall"] is Severity.WARNING


def test_stalls_pass_by(recorded: Recorded) -> None:
    name = "kernel_log-stalled-4.14"

    later = again(recorded, name, looked(recorded, name), 3700.0)

    assert judged(later) == []


def test_a_lockup_that_no_taint_bit_bears_out_is_doubted(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-stalled-4.14")
    (directory / "proc" / "sys" / "kernel" / "tainted").write_text("0\n")

    observations = judged(looked(recorded, directory))

    lockup = next(o for o in observations if o.reason.name == "SoftLockup")
    assert severity(lockup) is Severity.INFO
    assert "neither the kernel's counters nor its taint bits bear out" in lockup.message


def test_a_filesystem_is_critical_while_it_is_read_only(recorded: Recorded) -> None:
    observations = judged(looked(recorded, "kernel_log-filesystem"))

    assert reasons(observations) == {
        "FilesystemReadOnly": Severity.CRITICAL,
        "FilesystemCorrupted": Severity.CRITICAL,
    }
    read_only = next(o for o in observations if o.reason.name == "FilesystemReadOnly")
    assert read_only.subject.device == "loop1"
    assert ", still mounted" in read_only.message


def test_a_filesystem_that_is_not_mounted_any_more_is_forgotten(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-filesystem")
    sample = looked(recorded, directory)
    mounts = directory / "proc" / "1" / "mountinfo"
    mounts.write_text("".join(mounts.read_text().splitlines(keepends=True)[:1]))

    soon, later = (again(recorded, directory, sample, wait) for wait in (60.0, 3700.0))

    assert reasons(judged(soon))["FilesystemReadOnly"] is Severity.WARNING
    assert judged(later) == []


def test_a_filesystem_that_is_mounted_anew_is_no_finding(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-filesystem")
    sample = looked(recorded, directory)
    number = sample.memory.sequence + 1
    with (directory / "probes" / "kmsg").open("a") as log:
        log.write(f"6,{number},12950000000,-;EXT4-fs (loop1): mounted filesystem 1e43 r/w with x\n")

    later = again(recorded, directory, sample, 60.0)

    assert judged(later) == []


def test_an_oops_that_the_log_no_longer_holds_is_told_by_its_counter(recorded: Recorded) -> None:
    (found,) = judged(looked(recorded, "kernel_log-wrapped"))

    assert found.reason.name == "KernelOops"
    assert severity(found) is Severity.WARNING
    assert found.measure is not None
    assert found.measure.value == 2
    assert "2 times by /sys/kernel/oops_count" in found.message


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("sys/kernel/oops_count", "KernelOops"),
        ("sys/kernel/softlockup_count", "SoftLockup"),
        ("sys/kernel/hardlockup_count", "HardLockup"),
        ("sys/kernel/rcu_stall_count", "RCUStall"),
        ("sys/kernel/warn_count", "KernelWarned"),
        ("proc/sys/kernel/hung_task_detect_count", "HungTasks"),
    ],
)
def test_a_counter_that_grows_without_a_line_is_a_finding(
    file: str, reason: str, recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    sample = looked(recorded, directory)
    (directory / file).write_text("3\n")

    later = again(recorded, directory, sample, 60.0)

    (found,) = judged(later)
    assert found.reason.name == reason
    assert f"/{file}" in found.message


def test_what_may_pass_by_and_was_counted_before_the_first_look_is_nothing(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    (directory / "sys" / "kernel" / "softlockup_count").write_text("4\n")
    (directory / "proc" / "sys" / "kernel" / "tainted").write_text(f"{1 << 14}\n")

    assert judged(looked(recorded, directory)) == []


@pytest.mark.parametrize(("bit", "reason"), [(5, "BadPageState"), (7, "KernelOops")])
def test_a_bit_of_damage_without_a_line_is_a_finding(
    bit: int, reason: str, recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    (directory / "sys" / "kernel" / "oops_count").unlink()
    (directory / "proc" / "sys" / "kernel" / "tainted").write_text(f"{1 << bit}\n")

    (found,) = judged(looked(recorded, directory))

    assert found.reason.name == reason
    assert severity(found) is Severity.WARNING


def test_taint_bits_that_were_there_from_the_start_are_no_finding(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    bits = 1 << 0 | 1 << 4 | 1 << 9 | 1 << 12 | 1 << 13 | 1 << 15
    (directory / "proc" / "sys" / "kernel" / "tainted").write_text(f"{bits}\n")

    sample = looked(recorded, directory)

    assert judged(sample) == []
    (signal,) = [s for s in detector.DETECTOR.signals if s.name == "kernel_tainted"]
    assert set(signal.values(sample)) == {(letter,) for letter in "PMWOEK"}


def test_a_taint_that_comes_names_the_module_that_set_it(recorded: Recorded) -> None:
    observations = judged(looked(recorded, "kernel_log-tainted"))

    assert [o.key for o in observations] == ["0", "12", "13"]
    assert {severity(o) for o in observations} == {Severity.INFO}
    assert observations[1].message.startswith(
        "The kernel was tainted by module nvidia (bit 12, O): an out-of-tree module was loaded,"
    )


def test_a_storm_is_one_reason_and_says_that_the_kernel_went_silent(recorded: Recorded) -> None:
    sample = looked(recorded, "kernel_log-storm-5.10")

    observations = judged(sample)

    hung = [o for o in observations if o.reason.name == "HungTasks"]
    assert len(hung) == 12
    assert hung[0].reason.critical == "critical_hung_tasks"
    assert any("hung_task_warnings is 0" in said for said in sample.blind)
    assert "NFSServerNotResponding" in reasons(observations)


def test_a_storm_on_one_subject_stays_one_observation(recorded: Recorded, copied: Copied) -> None:
    directory = copied("kernel_log-stalled-4.14")
    stream = "".join(
        f"0,{number},{number * 1000},-;watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:7]\n"
        for number in range(1, 5001)
    )
    (directory / "probes" / "kmsg").write_text(stream)

    (found,) = judged(looked(recorded, directory))

    assert found.measure is not None
    assert found.measure.value == 5000


def test_a_storm_of_many_subjects_is_remembered_within_bounds(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-stalled-4.14")
    stream = "".join(
        f"3,{number},{number * 1000},-;INFO: task {'x' * 15}:{number} blocked for more than 120"
        " seconds.\n"
        for number in range(1, 5001)
    )
    (directory / "probes" / "kmsg").write_text(stream)

    sample = looked(recorded, directory)

    assert sum(h.count for h in sample.memory.happenings if h.kind == "HungTasks") == 5000
    assert len(TypeAdapter(Memory).dump_json(sample.memory)) < 200_000


def test_a_server_that_answers_again_is_no_finding(recorded: Recorded, copied: Copied) -> None:
    directory = copied("kernel_log-storm-5.10")
    sample = looked(recorded, directory)
    with (directory / "probes" / "kmsg").open("a") as log:
        log.write("5,3013,3705000000,-;nfs: server 10.0.0.27 OK\n")

    later = again(recorded, directory, sample, 60.0)

    assert "NFSServerNotResponding" in reasons(judged(sample))
    assert "NFSServerNotResponding" not in reasons(judged(later))


def test_records_that_were_overwritten_between_two_looks_are_told(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-wrapped")
    sample = looked(recorded, directory)
    (directory / "probes" / "kmsg").write_text("6,60000,90105000000,-;br0: up\n")

    later = again(recorded, directory, sample, 60.0)

    assert later.memory.lost == 8746
    assert any("8746 records" in said and "log_buf_len" in said for said in later.blind)


def test_what_a_rate_limit_held_back_is_told_once(recorded: Recorded) -> None:
    name = "kernel_log-healthy-busy"
    sample = looked(recorded, name)

    later = again(recorded, name, sample, 60.0)

    assert any("60 lines of net_ratelimit" in said for said in sample.blind)
    assert later.blind == ()
    assert later.memory.suppressed == {"net_ratelimit": 60}


def test_without_a_log_the_counters_still_speak(recorded: Recorded, copied: Copied) -> None:
    directory = copied("kernel_log-wrapped")
    (directory / "probes" / "kmsg").unlink()

    assert [o.reason.name for o in judged(looked(recorded, directory))] == ["KernelOops"]


def test_a_host_that_says_nothing_at_all_is_not_healthy_but_unknown(recorded: Recorded) -> None:
    host, occasion = recorded("gssproxy-healthy")

    with pytest.raises(errors.AbsentError, match="dev/kmsg"):
        source.collect(host, occasion)


def test_a_log_that_cannot_be_understood_names_the_line(recorded: Recorded, copied: Copied) -> None:
    directory = copied("kernel_log-damaged-4.12")
    (directory / "probes" / "kmsg").write_bytes(b"\xff\x00garbage\n")

    with pytest.raises(errors.UnreadableError, match="dev/kmsg:1"):
        looked(recorded, directory)


def test_a_taint_that_cannot_be_understood_is_told_and_stops_nothing(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-damaged-4.12")
    (directory / "proc" / "sys" / "kernel" / "tainted").write_bytes(b"\xff\x00garbage\n")

    sample = looked(recorded, directory)

    assert "BadPageState" in reasons(judged(sample))
    assert any("proc/sys/kernel/tainted cannot be understood" in said for said in sample.blind)


@pytest.mark.parametrize("name", SICK)
def test_observations_are_unique_by_reason_and_key(name: str, recorded: Recorded) -> None:
    observations = judged(looked(recorded, name))

    assert len({(o.reason.name, o.key) for o in observations}) == len(observations)


def test_an_event_is_dated_between_two_looks_whatever_the_clock_of_the_log_says(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    sample = looked(recorded, directory)
    last = sample.memory.sequence
    with (directory / "probes" / "kmsg").open("a") as log:
        log.write(f"1,{last + 1},100,-;BUG: Bad page state in process a  pfn:1\n")

    later = again(recorded, directory, sample, 60.0)

    (happening,) = later.memory.happenings
    assert sample.moment.uptime <= happening.first <= later.moment.uptime


def test_an_error_after_a_mount_is_told_although_the_clock_of_the_log_is_late(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    sample = looked(recorded, directory)
    number = sample.memory.sequence + 1
    with (directory / "probes" / "kmsg").open("a") as log:
        log.write(f"6,{number},100000000,-;EXT4-fs (sdb): mounted filesystem 1e43 r/w with x\n")
        log.write(f"2,{number + 1},101000000,-;EXT4-fs error (device sdb): f:1: inode #2: x\n")

    later = again(recorded, directory, sample, 60.0)

    assert list(reasons(judged(later))) == ["FilesystemCorrupted"]


def test_an_error_of_the_memory_is_believed_though_no_taint_bit_bears_it_out(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    (directory / "probes" / "kmsg").write_text(
        "4,1,12000000000,-;EDAC MC0: 1 UE memory read error on DIMM_A1 (channel:0 page:0x1)\n"
    )

    (found,) = judged(looked(recorded, directory))

    assert found.reason.name == "HardwareError"
    assert severity(found) is Severity.CRITICAL


def test_an_overwritten_object_is_not_told_as_a_bad_page_too(
    recorded: Recorded, copied: Copied
) -> None:
    directory = copied("kernel_log-healthy-busy")
    (directory / "probes" / "kmsg").write_text(
        "3,1,12000000000,-;BUG kmalloc-64 (Not tainted): Redzone overwritten\n"
    )
    (directory / "proc" / "sys" / "kernel" / "tainted").write_text("32\n")

    assert list(reasons(judged(looked(recorded, directory)))) == ["KernelMemoryCorrupted"]
