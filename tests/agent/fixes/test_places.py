"""Where the kubelet of a host has its pods elsewhere, the fixes look there as the rounds do."""

from __future__ import annotations

import functools
import inspect
import shutil
from pathlib import Path

import pytest

from kernelhealth_agent import practice
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.inventory import take
from kernelhealth_agent.moments import now
from kernelhealth_agent.practice import Practice
from kernelhealth_agent.settings import Settings
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
LEAKED = Reason("NetworkNamespaceLeaked", Severity.WARNING, "It outlived its pod.")
UID = "8a7f0000-0000-4000-8000-000000000008"
ELSEWHERE = "var/lib/k0s/kubelet/pods"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with k0s, whose pod is on the node; where kubelets usually are, an old one was."""
    target = tmp_path / "h"
    shutil.copytree(HOSTS / "residual_links-abandoned", target, symlinks=True)
    shutil.copytree(target / "var/lib/kubelet/pods", target / ELSEWHERE)
    (target / ELSEWHERE / UID).mkdir()
    return target


def opened(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Practice:
    monkeypatch.setenv("KERNELHEALTH_KUBELET_PODS", f"/{ELSEWHERE}/")
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path / "run"))
    return practice.opened(Settings(), RecordedHost(str(root)), "boot", lambda _: None)


def aim(fix: Fix, root: Path) -> Aim:
    seen = take(RecordedHost(str(root)), now().wall, {})
    idle = [s for s in seen.namespaces.values() if s.mounts and not s.processes]
    (space,) = [s for s in idle if s.mounts[0].path.startswith("/run/netns/cni-")]
    subject = Subject(
        namespace=space.inode, nsid=space.nsid, pod="shop/cart-8", pod_uid=UID, container="d" * 64
    )
    found = Observation(LEAKED, "x", subject, "It is kept.", cures=("UnmountNamespace",))
    (made,) = fix.aims([found])
    return made


def test_a_pod_that_the_kubelet_has_elsewhere_is_not_taken_for_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host, usual = RecordedHost(str(root)), practice.every()["UnmountNamespace"]
    configured = opened(root, monkeypatch, tmp_path).fixes["UnmountNamespace"]
    wanted = aim(usual, root)

    assert usual.objection(host, wanted) == ""
    assert configured.objection(host, wanted) == "pod shop/cart-8 is on the node"


def test_every_fix_that_asks_for_pods_asks_where_the_settings_say(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = practice.every()

    configured = opened(root, monkeypatch, tmp_path).fixes

    placed = {name for name, fix in usual.items() if fix.at is not None}
    assert placed == {"DeleteResidualLink", "RebindDevice", "ReleaseAddress", "UnmountNamespace"}
    for name in placed:
        before, after = usual[name].objection, configured[name].objection
        assert isinstance(before, functools.partial)
        assert isinstance(after, functools.partial)
        assert (before.args, after.args) == ((Places(),), (Places(ELSEWHERE, "var/log/pods"),))


def test_no_fix_looks_for_pods_without_being_told_where() -> None:
    for name, fix in practice.every().items():
        source = inspect.getsource(inspect.getmodule(fix.aims) or fix.aims)
        assert ("premises(" in source) == (fix.at is not None), name
