from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import namespace_teardown as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.canary import Step
from kernelhealth_agent.kernel.canary_history import History, Stall
from kernelhealth_agent.kernel.lifecycle import Memory, Sample
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import namespace_teardown as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Memory]]]
Looked = Callable[..., Sample]
DEFAULTS = detector.NamespaceTeardownParams()
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
NAMES = sorted(path.name for path in HOSTS.glob("namespace_teardown-*"))
HEALTHY = ["namespace_teardown-busy", "namespace_teardown-healthy"]


@pytest.fixture
def looked(recorded: Recorded) -> Looked:
    """Look at a recorded host, as often as is asked for, a minute apart."""

    def made(name: str | Path, times: int = 1, apart: float = 60.0) -> Sample:
        host, occasion = recorded(name)
        said = host.recording()
        memory = source.SOURCE.recalled(said.get("memories", {}).get("namespace_teardown"))
        moment = Moment(occasion.moment.wall, said["uptime"])
        for number in range(times):
            then = Occasion(occasion.inventory, moment.after(apart * number), memory)
            sample = source.collect(host, then)
            memory = source.SOURCE.recalled(json.loads(_as_json(sample.memory)))
            assert memory == sample.memory
        return sample

    return made


def _as_json(memory: Memory) -> bytes:
    """Put a memory into the state file's words, as the agent does."""
    return TypeAdapter(Memory).dump_json(memory)


def observe(sample: Sample) -> list[Observation]:
    return list(detector.judge(sample, DEFAULTS))


def hung(uptime: float) -> History:
    """Return what is known where a canary has waited 40 s for its namespace's end."""
    return History(stall=Stall(uptime - 40.0, uptime - 40.0, 40.0, Step.TEARDOWN, "quota"))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(HOSTS / name, target, symlinks=True)
        return target

    return made


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_host_has_no_finding(name: str, looked: Looked) -> None:
    for times in (1, 2):
        sample = looked(name, times)

        assert observe(sample) == []
        assert sample.canaries.result is not None


def test_a_sleeping_worker_and_its_canary_are_one_finding(looked: Looked) -> None:
    (found,) = observe(looked("namespace_teardown-sleeping"))

    assert found.reason is detector.STALLED
    assert found.reason.severity is Severity.CRITICAL
    assert found.subject.process == "kworker/u4:1+netns[25]"
    assert str(found.subject.holder).startswith("wedge_exit_net [wedge] < ops_exit_list")
    assert "stuck for 47 s in wedge_exit_net [wedge] (state D)" in found.message
    assert found.cures == ("Reboot",)
    assert found.cause is None


def test_the_same_canary_is_seen_again_and_not_doubled(looked: Looked) -> None:
    first, second = (looked("namespace_teardown-sleeping", times) for times in (1, 2))

    assert first.canaries.outstanding == second.canaries.outstanding
    assert [o.key for o in observe(first)] == [o.key for o in observe(second)]


def test_a_finding_stays_the_same_when_the_next_canary_hangs_elsewhere(recorded: Recorded) -> None:
    host, occasion = recorded("namespace_teardown-sleeping")
    moment = Moment(occasion.moment.wall, host.recording()["uptime"])
    first = source.collect(host, Occasion(occasion.inventory, moment, None))
    canaries = first.canaries
    assert canaries.stall is not None
    elsewhere = replace(canaries.stall, step=Step.CREATION, killed=True)
    over = replace(canaries, outstanding=None, stall=elsewhere, killed=1, ended=moment.uptime + 60)
    memory = replace(first.memory, canaries=over)

    second = source.collect(host, Occasion(occasion.inventory, moment.after(150.0), memory))

    (before,) = observe(first)
    after = {found.reason: found for found in observe(second)}
    assert after.keys() == {detector.BLOCKED, detector.STALLED}
    assert {found.key for found in after.values()} == {before.key}


def test_a_spinning_worker_is_found_without_a_stack_and_without_a_canary(looked: Looked) -> None:
    sample = looked("namespace_teardown-spinning")

    (found,) = observe(sample)
    assert found.reason is detector.STALLED
    assert sample.workers[0].task.stack == ()
    assert sample.workers[0].is_spinning
    assert "kworker/u4:0+netns[25] runs for 3 min on 99% of a CPU" in found.message
    assert any("no user namespace can be made" in said for said in sample.blind)


def test_a_spinning_worker_that_shares_its_processor_is_said_to_run(looked: Looked) -> None:
    sample = looked("namespace_teardown-spinning")
    (alone,) = sample.workers

    shared = replace(sample, workers=(replace(alone, share=0.62),), canaries=hung(sample.uptime))

    (found,) = observe(shared)
    assert found.reason is detector.STALLED
    assert "kworker/u4:0+netns[25] runs for 3 min on 62% of a CPU in a place" in found.message


def test_a_worker_seen_once_is_no_finding_without_a_canary(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-spinning")
    (directory / "recording.json").write_text('{"uptime": 86400.0}')

    assert observe(looked(directory)) == []
    assert observe(looked(directory, 2)) == []  # Its processor time stood still in the recording.


def test_a_worker_that_a_canary_got_past_is_not_stuck(looked: Looked) -> None:
    sample = looked("namespace_teardown-busy", 4)

    assert sample.workers[0].seconds >= DEFAULTS.worker_after.total_seconds()
    assert sample.workers[0].is_asleep
    assert observe(sample) == []


def test_a_device_that_is_held_is_named_with_the_lines_that_say_so(looked: Looked) -> None:
    found = {o.reason.name: o for o in observe(looked("namespace_teardown-device-held"))}

    stuck = found["InterfaceUnregisterStuck"]
    assert stuck.subject.interfaces == ("lo",)
    assert "(12 lines in its log)" in stuck.message
    assert stuck.measure is not None
    assert (stuck.measure.value, stuck.measure.threshold) == (12.0, 6.0)
    assert {o.cause for o in found.values()} == {"NetdevReferenceLeak"}
    assert "in netdev_run_todo (state D) for device lo" in found["NamespaceTeardownStalled"].message


def test_a_device_of_which_the_log_says_no_more_is_forgotten(looked: Looked) -> None:
    found = observe(looked("namespace_teardown-device-held", 2))

    assert "InterfaceUnregisterStuck" not in {o.reason.name for o in found}


def test_who_blocks_and_who_waits_is_told_where_nothing_can_be_made(looked: Looked) -> None:
    sample = looked("namespace_teardown-creation-blocked")

    (found,) = observe(sample)
    assert found.reason is detector.BLOCKED
    assert found.cause == "ModuleRegistrationBlocked"
    assert found.subject.process == "modprobe[3311]"
    assert found.subject.pod == "batch/nfs-client-0"
    assert "modprobe[3311] is in the way in register_pernet_device (module ip_vti)" in found.message
    assert "runc:[1:CHILD][3350] of pod batch/nfs-client-0 and 1 more wait" in found.message
    assert {one.task.comm for one in sample.blocked} == {"modprobe", "runc:[1:CHILD]", "ip"}


def test_a_loop_of_conntrack_has_a_mild_cure_where_the_setting_is_there(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-conntrack-loop")

    (found,) = observe(looked(directory))
    (directory / "proc/sys/net/core/skb_defer_max").write_text("0\n")
    (set_already,) = observe(looked(directory))

    assert found.cause == set_already.cause == "ConntrackCleanupLoop"
    assert found.cures == ("SetSkbDeferMax", "Reboot")
    assert set_already.cures == ("Reboot",)


def test_the_log_may_name_conntrack_where_no_stack_does(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-conntrack-loop")
    (directory / "proc/25/stack").write_text("")
    with (directory / "probes/kmsg").open("a") as log:
        log.write("4,900,86390000000,-;conntrack cleanup blocked for 60s\n")

    (found,) = observe(looked(directory))

    assert found.cause == "ConntrackCleanupLoop"


def test_fragments_that_went_below_zero_are_found_at_once(looked: Looked) -> None:
    found = {o.key: o for o in observe(looked("namespace_teardown-fragments-4.16"))}

    below = found["4026532178/IPv4"]
    assert below.reason is detector.FRAGMENTS
    assert below.subject.pod == "batch/nfs-client-0"
    assert below.measure is not None
    assert below.measure.value == -4160
    assert below.subject.file == "/proc/230/net/sockstat"


def test_fragments_without_a_queue_are_found_when_they_last(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-fragments-4.16")
    (directory / "recording.json").write_text('{"uptime": 86400.0}')

    keys = [{o.key for o in observe(looked(directory, times, 61.0))} for times in (1, 2)]

    assert keys == [{"4026532178/IPv4"}, {"4026532178/IPv4", "4026532178/IPv6"}]


def test_the_incident_is_found_by_its_canary_its_victim_and_its_counter(looked: Looked) -> None:
    found = {o.reason.name: o for o in observe(looked("namespace_teardown-incident-4.16"))}

    blocked = found["NamespaceCreationBlocked"]
    assert blocked.cause == "FragmentAccounting"
    assert blocked.subject.process == "ip[30011]"
    assert "copy_net_ns" in str(blocked.subject.holder)
    assert "FragmentAccountingBroken" in found


def test_a_netfilter_that_fails_twice_is_a_finding(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-netfilter")

    (found,) = observe(looked(directory))
    (directory / "recording.json").write_text('{"uptime": 86400.0}')
    once = observe(looked(directory))

    assert found.reason is detector.NETFILTER
    assert "a rule was added that cannot be deleted" in found.message
    assert once == []


def test_a_canary_that_cannot_be_killed_is_told_of_and_kept(looked: Looked) -> None:
    sample = looked("namespace_teardown-abandoned")

    (found,) = observe(sample)
    assert sample.canaries.outstanding is not None
    assert sample.canaries.outstanding.processes == ((40211, 8595302),)
    assert "has hung for 7 min in rtnl_newlink and cannot be killed" in found.message


def test_a_kernel_that_refuses_twice_to_make_a_namespace_is_a_finding(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-healthy")
    lines = ["form quota", "owner 7", "refused No space left on device", "done"]
    answer = {"began": 1.0, "age": 0.1, "lines": lines}
    (directory / "probes/canary").write_text(json.dumps(answer))

    assert observe(looked(directory)) == []
    (found,) = observe(looked(directory, 2))
    assert found.reason is detector.BLOCKED
    assert "(No space left on device)" in found.message


def test_a_canary_that_does_not_get_going_is_no_finding_but_told(
    looked: Looked, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-sleeping")
    answer = json.loads((directory / "probes/canary").read_text())
    answer["lines"] = answer["outstanding"]["lines"] = []
    (directory / "probes/canary").write_text(json.dumps(answer))

    sample = looked(directory)

    assert sample.canaries.stall is not None
    assert sample.canaries.stall.step is Step.START
    assert observe(sample) == []
    assert any("does not get going" in said for said in sample.blind)


def test_a_host_that_shows_nothing_of_all_this_is_not_available(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="canary"):
        source.collect(*recorded("suppress_prefix-trap"))


@pytest.mark.parametrize("file", ["probes/canary", "probes/kmsg", "proc/1/net/sockstat"])
def test_what_cannot_be_understood_names_itself(
    file: str, recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("namespace_teardown-device-held")
    text = "FRAG: inuse x memory y\nunregister_netdevice: waiting for lo to become free.\n"
    (directory / file).write_text(text)

    with pytest.raises(errors.UnreadableError, match=Path(file).name):
        source.collect(*recorded(directory))


@pytest.mark.parametrize("name", NAMES)
def test_observations_are_unique_by_reason_and_key(name: str, looked: Looked) -> None:
    observations = observe(looked(name))

    assert len({(o.reason.name, o.key) for o in observations}) == len(observations)
    assert {o.reason for o in observations} <= set(detector.DETECTOR.reasons)


@pytest.mark.parametrize("name", NAMES)
def test_every_signal_has_its_labels(name: str, looked: Looked) -> None:
    sample = looked(name)

    for signal in detector.DETECTOR.signals:
        for labels, value in signal.values(sample).items():
            assert len(labels) == len(signal.labels)
            assert value >= 0
