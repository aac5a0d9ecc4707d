from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import gssproxy as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.gssproxy import Memory, Sample
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import gssproxy as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Memory]]]
DEFAULTS = detector.GssproxyParams()
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
STATE = "proc/230/net/rpc/use-gss-proxy"
FOLDER = "proc/230/root/etc/gssproxy"


def observe(host: RecordedHost, occasion: Occasion[Memory]) -> list[Observation]:
    return list(detector.judge(source.collect(host, occasion), DEFAULTS))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(HOSTS / name, target, symlinks=True)
        return target

    return made


def test_a_configuration_is_named_with_pod_container_file_and_line(recorded: Recorded) -> None:
    (found,) = observe(*recorded("gssproxy-configured"))

    assert found.reason is detector.CONFIGURED
    assert found.subject.pod == "batch/nfs-client-0"
    assert found.subject.container == "b" * 64
    assert found.subject.process == "gssproxy[230]"
    assert found.subject.file == "/etc/gssproxy/24-nfs-server.conf:7"
    assert found.message == (
        "Pod batch/nfs-client-0 has kernel_nfsd switched on in /etc/gssproxy/24-nfs-server.conf:7:"
        " should auth_rpcgss ever be loaded, its network namespace leaks once gssproxy runs; set"
        " kernel_nfsd = no there or leave gssproxy out of the image."
    )


def test_the_hosts_own_configuration_is_no_finding_but_noted(recorded: Recorded) -> None:
    sample = source.collect(*recorded("gssproxy-configured"))

    assert sample.own == "/etc/gssproxy/24-nfs-server.conf:7"
    assert {setting.pid for setting in sample.settings} == {230}


def test_a_configuration_is_worse_where_the_module_is_loaded(recorded: Recorded) -> None:
    observations = observe(*recorded("gssproxy-pinned"))

    (configured,) = [o for o in observations if o.reason is detector.CONFIGURED]
    assert configured.severity is Severity.WARNING
    assert "as auth_rpcgss is loaded" in configured.message


def test_a_live_container_is_warned_of_before_it_leaks(recorded: Recorded) -> None:
    observations = observe(*recorded("gssproxy-pinned"))

    (used,) = [o for o in observations if o.reason is detector.USED]
    assert used.subject.pod == "batch/nfs-client-0"
    assert used.subject.namespace == 4026532178
    assert used.reason.severity is Severity.WARNING


def test_where_the_hosts_own_configuration_is_read_the_cure_is_to_change_it(
    recorded: Recorded,
) -> None:
    observations = observe(*recorded("gssproxy-shared"))

    cures = {found.reason.name: found.cures for found in observations}
    assert cures == {
        "UseGssProxyInContainer": ("DisableKernelNfsd", "BlockRpcGssModule", "UnloadRpcGssModule"),
        "KernelNfsdEnabledInContainer": ("DisableKernelNfsd", "BlockRpcGssModule"),
    }
    assert all("/etc/gssproxy/24-nfs-server.conf:7 of the host" in o.message for o in observations)


def test_a_configuration_of_the_container_is_not_to_be_cured_on_the_host(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-pinned")
    shutil.copytree(directory / FOLDER, directory / "etc/gssproxy")

    observations = observe(*recorded(str(directory)))

    assert {o.reason for o in observations} == {detector.USED, detector.CONFIGURED, detector.PINNED}
    assert not [o for o in observations if "DisableKernelNfsd" in o.cures]


def test_once_the_hosts_configuration_is_mended_its_cure_is_named_no_more(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-shared")
    file = directory / "etc/gssproxy/24-nfs-server.conf"
    file.write_text(file.read_text().replace("kernel_nfsd = yes", "kernel_nfsd = no"))

    (used,) = observe(*recorded(str(directory)))

    assert used.cures == ("BlockRpcGssModule", "UnloadRpcGssModule")


def test_a_service_of_the_host_with_a_namespace_of_its_own_is_no_finding_until_it_is_a_client(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-shared")
    (directory / "proc/230/cgroup").write_text("0::/system.slice/upower.service\n")
    state = directory / STATE
    state.write_text("-1\n")
    quiet = observe(*recorded(str(directory)))

    state.write_text("1\n")
    (used,) = observe(*recorded(str(directory)))

    assert quiet == []
    assert used.cures[0] == "DisableKernelNfsd"


def test_pinned_namespaces_are_those_that_nothing_reaches(recorded: Recorded) -> None:
    observations = observe(*recorded("gssproxy-pinned"))

    pinned = [o for o in observations if o.reason is detector.PINNED]
    assert [o.subject.namespace for o in pinned] == [4026532128, 4026532131]
    assert pinned[0].cures == ("UnloadRpcGssModule", "Reboot")


def test_a_pinned_namespace_has_the_name_of_its_remembered_pod(recorded: Recorded) -> None:
    host, occasion = recorded("gssproxy-pinned")
    pod = Pod("batch", "nfs-client-9", "uid-9", "cgroup")
    past = Remembered(4026532128, 7, pod, "d" * 64, datetime(2026, 1, 1, tzinfo=UTC))

    observations = observe(
        host,
        replace(occasion, inventory=replace(occasion.inventory, memory={4026532128: past})),
    )

    (found,) = [o for o in observations if o.subject.namespace == 4026532128]
    assert (found.subject.pod, found.subject.nsid) == ("batch/nfs-client-9", 7)
    assert "4026532128 of pod batch/nfs-client-9" in found.message


def test_without_names_the_pinned_namespaces_are_counted(recorded: Recorded) -> None:
    observations = observe(*recorded("gssproxy-pinned-unnamed"))

    # Five transports: one of the host, one of the container that is still there.
    assert [o.key for o in observations if o.reason is detector.PINNED] == [
        "unnamed-1",
        "unnamed-2",
        "unnamed-3",
    ]


def test_a_namespace_whose_state_cannot_be_read_may_explain_a_transport(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-pinned-unnamed")
    (directory / STATE).unlink()

    observations = observe(*recorded(str(directory)))

    assert len([o for o in observations if o.reason is detector.PINNED]) == 3


def test_a_healthy_host_has_no_finding(recorded: Recorded) -> None:
    assert observe(*recorded("gssproxy-healthy")) == []


def test_without_debugfs_the_number_of_pins_is_not_zero_but_unknown(recorded: Recorded) -> None:
    sample = source.collect(*recorded("gssproxy-configured"))

    assert (sample.pins, sample.unnamed) == (None, None)
    (signal,) = [s for s in detector.DETECTOR.signals if "pinned" in s.name]
    assert signal.values(sample) == {}


def test_a_state_that_cannot_be_understood_names_the_file(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-healthy")
    (directory / STATE).write_bytes(b"\xff\x00garbage")

    with pytest.raises(errors.UnreadableError, match=STATE):
        observe(*recorded(str(directory)))


def test_a_transport_that_cannot_be_understood_names_the_file(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-healthy")
    info = "sys/kernel/debug/sunrpc/rpc_xprt/2/info"
    (directory / info).write_bytes(b"netid: local\n")

    with pytest.raises(errors.UnreadableError, match=info):
        observe(*recorded(str(directory)))


def test_a_container_cannot_hide_the_others_with_a_file_too_large(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-pinned")
    (directory / FOLDER / "00-huge.conf").write_bytes(b"#" * (64 << 10) + b"\n")

    sample = source.collect(*recorded(str(directory)))

    assert len(sample.settings) == 1
    (said,) = sample.blind
    assert f"{FOLDER}/00-huge.conf was not read" in said


def test_observations_are_unique_by_reason_and_key(recorded: Recorded) -> None:
    for name in ("gssproxy-configured", "gssproxy-pinned", "gssproxy-pinned-unnamed"):
        observations = observe(*recorded(name))

        assert len({(o.reason.name, o.key) for o in observations}) == len(observations)


def later(host: RecordedHost, occasion: Occasion[Memory], seconds: float) -> Sample:
    """Look again after so many seconds, knowing the look that *occasion* was for."""
    said = TypeAdapter(Memory | None).dump_python(occasion.memory, mode="json")
    memory = source.SOURCE.recalled(said)
    moment = occasion.moment.after(seconds)
    return source.collect(host, replace(occasion, moment=moment, memory=memory))


def settled(host: RecordedHost, occasion: Occasion[Memory]) -> Occasion[Memory]:
    """Return an occasion that knows all processes for long enough to believe in them."""
    memory = source.collect(host, occasion).memory
    spaces = {inode: replace(seen, first=seen.first - 60) for inode, seen in memory.spaces.items()}
    inventory = replace(occasion.inventory, thorough=False)
    return replace(occasion, inventory=inventory, memory=replace(memory, spaces=spaces))


def without_configuration(host: Path) -> None:
    for file in (host / FOLDER).iterdir():
        file.unlink()


def test_a_familiar_container_is_read_again_after_a_minute(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-configured")
    host, occasion = recorded(directory)
    familiar = settled(host, occasion)
    without_configuration(directory)

    soon, late = later(host, familiar, 30.0), later(host, familiar, 60.0)

    assert [setting.pid for setting in soon.settings] == [230]
    assert late.settings == ()


def test_a_container_that_just_began_is_read_again_at_once(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-configured")
    host, occasion = recorded(directory)
    inventory = replace(occasion.inventory, thorough=False)
    young = replace(occasion, inventory=inventory, memory=source.collect(host, occasion).memory)
    without_configuration(directory)

    assert later(host, young, 2.0).settings == ()


def test_a_familiar_namespace_with_another_process_is_read_at_once(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-configured")
    host, occasion = recorded(directory)
    familiar = settled(host, occasion)
    without_configuration(directory)
    spaces = {
        inode: replace(space, pids=(*space.pids, 999))
        for inode, space in occasion.inventory.namespaces.items()
    }
    grown = replace(familiar.inventory, namespaces=spaces)

    assert later(host, replace(familiar, inventory=grown), 2.0).settings == ()


def test_all_is_read_again_when_the_module_is_loaded(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("gssproxy-pinned")
    host, occasion = recorded(directory)
    familiar = settled(host, occasion)
    unloaded = replace(familiar.memory or Memory(), loaded=False)

    found = source.collect(host, replace(familiar, memory=unloaded))

    assert [space.inode for space in found.used] == [4026532178]
