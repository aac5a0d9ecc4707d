"""ReleaseAddress on the recorded host with what missed CNI DELs left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.fixes.release_address import FIX
from kernelhealth_agent.hosts.deeds.leases import PutAway, digest
from kernelhealth_agent.hosts.deeds.pod_rules import DeletePodRule
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.inventory import take
from kernelhealth_agent.moments import now
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links as source
from kernelhealth_api.detector import Observation

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
IDLE = 4026532467
"""The namespace that a forgotten mount keeps, in the recording."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-abandoned", tmp_path / "h", symlinks=True))


def observations(root: Path) -> list[Observation]:
    host = RecordedHost(str(root))
    sample = source.collect(host, Occasion(take(host, now().wall, {}), now()))
    return list(detector.judge(sample, detector.ResidualLinksParams()))


def aims(root: Path) -> list[Aim]:
    return list(FIX.aims(observations(root)))


def test_every_address_that_can_go_is_an_aim_and_no_link_is(root: Path) -> None:
    assert len(aims(root)) == 2
    assert {aim.observation.reason for aim in aims(root)} == {detector.ADDRESS}


def of_sandbox(root: Path) -> Aim:
    (aim,) = [aim for aim in aims(root) if len(aim.key) == 64]
    return aim


def test_what_is_left_of_a_sandbox_is_put_away_its_lease_under_the_lock(root: Path) -> None:
    host, aim = RecordedHost(str(root)), of_sandbox(root)
    (root / f"netlink/addresses@{IDLE}.hex").write_text("")

    files = {d.file: d.lock for d in FIX.deeds(host, aim) if isinstance(d, PutAway)}

    assert FIX.objection(host, aim) == ""
    assert files == {
        "var/lib/cni/networks/pods/10.244.0.8": "lock",
        f"var/lib/cni/results/pods-{aim.key}-eth0": None,
    }


def test_an_address_that_an_idle_namespace_still_has_waits_for_that_to_go(root: Path) -> None:
    against = FIX.objection(RecordedHost(str(root)), of_sandbox(root))

    assert against == f"10.244.0.8 is still on an interface in the network namespace {IDLE}"


def test_rules_that_are_all_that_is_left_are_deleted(root: Path) -> None:
    host = RecordedHost(str(root))
    (aim,) = [aim for aim in aims(root) if aim.key == "10.244.0.10"]

    deeds = list(FIX.deeds(host, aim))

    assert FIX.objection(host, aim) == ""
    assert {type(deed) for deed in deeds} == {DeletePodRule}
    assert all("10.244.0.10" in deed.name for deed in deeds)


def test_a_sandbox_that_runs_by_now_keeps_its_address(root: Path) -> None:
    aim = of_sandbox(root)
    tasks = root / "run/containerd/io.containerd.runtime.v2.task/k8s.io"
    (tasks / aim.key).mkdir(parents=True)

    against = FIX.objection(RecordedHost(str(root)), aim)

    assert against == "nothing keeps it any more, or its sandbox may still be there"


def test_nothing_is_released_where_a_result_cannot_be_read(root: Path) -> None:
    (aim, *_) = aims(root)
    place = root / "var/lib/cni/results"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"net-{'e' * 64}-eth0").write_text("{half a fi")

    assert "not all that might speak for a pod can be read" in FIX.objection(
        RecordedHost(str(root)), aim
    )


def test_the_address_itself_is_given_back_last(root: Path) -> None:
    """Else the next pod could have it already, and its rule and result would be taken for these."""
    host = RecordedHost(str(root))

    files = [d.file for d in FIX.deeds(host, of_sandbox(root)) if isinstance(d, PutAway)]

    assert len(files) > 1
    assert ["/networks/" in file for file in files] == sorted("/networks/" in f for f in files)
    assert "/networks/" in files[-1]


def test_what_was_released_is_achieved(root: Path) -> None:
    host, aim = RecordedHost(str(root)), of_sandbox(root)
    assert not FIX.achieved(host, aim)
    keep = root / "kept"
    keep.mkdir()

    for deed in FIX.deeds(host, aim):
        assert isinstance(deed, PutAway)
        deed.do(str(root), str(keep))

    assert FIX.achieved(host, aim)
    assert [*keep.iterdir()]


def test_a_file_is_put_away_with_its_content_and_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/lease").write_bytes(b"sandbox")
    (tmp_path / "keep").mkdir()

    PutAway("var/lease", digest(b"sandbox"), "lock").do(str(tmp_path), str(tmp_path / "keep"))

    assert not (tmp_path / "var/lease").exists()
    assert (tmp_path / "keep/var%2Flease").read_bytes() == b"sandbox"


def test_a_file_with_another_content_stays(tmp_path: Path) -> None:
    (tmp_path / "lease").write_bytes(b"another")

    with pytest.raises(errors.UnreadableError, match="written anew"):
        PutAway("lease", digest(b"sandbox")).do(str(tmp_path), str(tmp_path))

    assert (tmp_path / "lease").read_bytes() == b"another"


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"sandbox")
    (tmp_path / "lease").symlink_to("secret")

    with pytest.raises(OSError, match="symbolic"):
        PutAway("lease", digest(b"sandbox")).do(str(tmp_path), str(tmp_path))

    assert (tmp_path / "secret").exists()


def test_a_directory_that_is_an_absolute_link_is_that_of_the_host(tmp_path: Path) -> None:
    host, keep = tmp_path / "host", tmp_path / "keep"
    (host / "real/networks").mkdir(parents=True)
    (host / "real/networks/lease").write_bytes(b"sandbox")
    (host / "var").symlink_to("/real")
    keep.mkdir()

    PutAway("var/networks/lease", digest(b"sandbox"), "lock").do(str(host), str(keep))

    assert not (host / "real/networks/lease").exists()
    assert [kept.read_bytes() for kept in keep.iterdir()] == [b"sandbox"]


def test_nothing_is_lost_where_there_is_no_room_to_keep_it(tmp_path: Path) -> None:
    (tmp_path / "lease").write_bytes(b"sandbox")

    with pytest.raises(FileNotFoundError):
        PutAway("lease", digest(b"sandbox")).do(str(tmp_path), str(tmp_path / "nowhere"))

    assert (tmp_path / "lease").read_bytes() == b"sandbox"


def test_a_file_that_is_gone_is_fine(tmp_path: Path) -> None:
    PutAway("lease", digest(b"sandbox"), "lock").do(str(tmp_path), str(tmp_path))
    PutAway("no/such/lease", digest(b"sandbox"), "lock").do(str(tmp_path), str(tmp_path))

    assert not (tmp_path / "lease").exists()
