"""UnmountNamespace on the recorded host where a forgotten mount keeps a namespace."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent.fix import Aim
from kernelhealth_agent.fixes.unmount_namespace import FIX
from kernelhealth_agent.hosts.deeds.mounts import UnmountNamespaceFile
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.inventory import take
from kernelhealth_agent.moments import now
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
LEAKED = Reason("NetworkNamespaceLeaked", Severity.WARNING, "It outlived its pod.")
UID = "8a7f0000-0000-4000-8000-000000000008"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-abandoned", tmp_path / "h", symlinks=True))


def observed(root: Path, file: str = "/run/netns/cni-", **changed: object) -> Observation:
    """Return the observation of a namespace that is mounted and has no process."""
    seen = take(RecordedHost(str(root)), now().wall, {})
    idle = [s for s in seen.namespaces.values() if s.mounts and not s.processes]
    (space,) = [s for s in idle if s.mounts[0].path.startswith(file)]
    usual = {
        "namespace": space.inode,
        "nsid": space.nsid,
        "pod": "shop/cart-8",
        "pod_uid": UID,
        "container": "d" * 64,
    }
    subject = Subject.model_validate(usual | changed)
    return Observation(LEAKED, "x", subject, "It is kept.", cures=("UnmountNamespace",))


def aim(observation: Observation) -> Aim:
    (found,) = FIX.aims([observation])
    return found


def test_the_mount_of_a_namespace_whose_pod_is_gone_may_be_unmounted(root: Path) -> None:
    host = RecordedHost(str(root))
    found = aim(observed(root))

    deeds = list(FIX.deeds(host, found))

    assert FIX.objection(host, found) == ""
    assert deeds
    assert {type(deed) for deed in deeds} == {UnmountNamespaceFile}
    assert not any(deed.host_wide for deed in deeds)
    assert not FIX.achieved(host, found)


def test_a_namespace_of_another_number_is_not_mounted_any_more(root: Path) -> None:
    found = aim(observed(root, namespace=17))

    assert FIX.objection(RecordedHost(str(root)), found) == "nothing has it mounted any more"
    assert FIX.achieved(RecordedHost(str(root)), found)


def test_a_namespace_with_another_id_than_was_observed_is_another_one(root: Path) -> None:
    found = aim(observed(root, nsid=4711))

    assert (
        FIX.objection(RecordedHost(str(root)), found) == "another namespace has its number by now"
    )


def test_a_namespace_whose_pod_is_on_the_node_stays(root: Path) -> None:
    (root / "var/lib/kubelet/pods" / UID).mkdir(parents=True)

    against = FIX.objection(RecordedHost(str(root)), aim(observed(root)))

    assert against == "pod shop/cart-8 is on the node"


def test_a_namespace_of_no_known_pod_may_be_unmounted_where_a_link_proves_it_a_pods(
    root: Path,
) -> None:
    found = aim(observed(root, pod=None, pod_uid=None, container=None))

    assert FIX.objection(RecordedHost(str(root)), found) == ""


def test_a_namespace_that_a_person_made_stays(root: Path) -> None:
    found = aim(observed(root, "/run/netns/blue", pod=None, pod_uid=None, container=None))

    against = FIX.objection(RecordedHost(str(root)), found)

    assert against == "nothing proves that it was made for a pod that is gone"


def test_a_namespace_is_one_aim_however_often_it_was_observed(root: Path) -> None:
    first, second = observed(root), replace(observed(root), key="y")

    assert len(list(FIX.aims([first, second]))) == 1


def test_an_observation_with_other_cures_is_no_aim(root: Path) -> None:
    assert not list(FIX.aims([replace(observed(root), cures=("StopHolder",))]))
