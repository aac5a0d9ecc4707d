"""DeleteResidualLink on the recorded host with links of pods that are gone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.fixes.delete_residual_link import FIX
from kernelhealth_agent.hosts.deeds.links import DeleteLink
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.inventory import take
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.moments import now
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links as source
from kernelhealth_api.detector import Observation, Subject

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-abandoned", tmp_path / "h", symlinks=True))


def aims(root: Path) -> list[Aim]:
    """Return the aims of the recorded host, as the detector is to give them."""
    host = RecordedHost(str(root))
    seen = take(host, now().wall, {})
    sample = source.collect(host, Occasion(seen, now()))
    every = {link.name: link for link in seen.links}
    found = []
    for each in detector.judge(sample, detector.ResidualLinksParams()):
        if each.reason is detector.LINK:
            link = every[each.subject.interfaces[0]]
            known: dict[str, str | int] = {"index": link.index, "name": link.name, "mac": link.mac}
            found.append(replace(each, aim=known))
    return list(FIX.aims(found))


def test_each_link_whose_pod_is_gone_may_be_deleted_and_no_other(root: Path) -> None:
    host = RecordedHost(str(root))

    for aim in aims(root):
        (deed,) = FIX.deeds(host, aim)

        assert FIX.objection(host, aim) == ""
        assert isinstance(deed, DeleteLink)
        assert deed.name_of_link in aim.observation.subject.interfaces
        assert not FIX.achieved(host, aim)


def test_a_link_that_the_finding_does_not_tell_from_others_stays(root: Path) -> None:
    (aim, *_) = aims(root)
    bare = replace(aim, observation=replace(aim.observation, aim={"index": 7}))

    assert "does not carry name, mac" in FIX.objection(RecordedHost(str(root)), bare)


@pytest.mark.parametrize(
    "changed", [{"index": 4711}, {"name": "eth0"}, {"mac": "02:00:00:00:00:01"}], ids=str
)
def test_a_link_that_is_another_one_by_now_stays(changed: dict[str, str], root: Path) -> None:
    (aim, *_) = aims(root)
    known = {**aim.observation.aim, **changed}
    other = replace(aim, observation=replace(aim.observation, aim=known))

    assert FIX.objection(RecordedHost(str(root)), other) == "there is no such link any more"
    assert FIX.achieved(RecordedHost(str(root)), other)


def test_no_link_is_deleted_while_the_pods_of_the_node_are_unknown(root: Path) -> None:
    (aim, *_) = aims(root)
    shutil.rmtree(root / "var/lib/kubelet", ignore_errors=True)
    shutil.rmtree(root / "var/log/pods", ignore_errors=True)

    against = FIX.objection(RecordedHost(str(root)), aim)

    assert against == "it cannot be told which pods are on the node"


def test_links_that_are_in_use_are_no_aims_though_they_look_alike() -> None:
    host = RecordedHost(str(HOSTS / "residual_links-healthy"))
    sample = source.collect(host, Occasion(take(host, now().wall, {}), now()))
    (link, *_) = [x for x in sample.inventory.links if x.kind == "veth"]

    assert FIX.objection(host, invented(link)) != ""


def invented(link: rtnetlink.Link) -> Aim:
    """Return an aim at a link that nobody has found fault with."""
    known: dict[str, str | int] = {"index": link.index, "name": link.name, "mac": link.mac}
    observation = Observation(
        detector.LINK,
        f"{link.index} {link.name}",
        Subject(interfaces=(link.name,)),
        "It is said to be left over.",
        cures=("DeleteResidualLink",),
        aim=known,
    )
    (aim,) = FIX.aims([observation])
    return aim
