"""The kernel's list on a host that was recorded on Linux 6.1."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.leaks import NetworkNamespaces
from kernelhealth_agent.kernel.namespace_answers import Listed
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import network_namespaces as source
from kernelhealth_api.detector import Observation, Severity

RECORDED = Path(__file__).parents[2] / "fixtures/hosts/network_namespaces-listed-6.1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST, LOST, HIDDEN, LIVE = 4026531840, 4026532157, 4026532209, 4026532261
POD = Pod("shop", "cart-2", "8a7f0000-0000-4000-8000-000000000002", "cgroup")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECORDED, tmp_path / "host", symlinks=True))


def collected(root: Path, *memory: Remembered, thorough: bool = True) -> NetworkNamespaces:
    recorded = RecordedHost(str(root))
    known = {past.inode: past for past in memory}
    looked = inventory.take(recorded, NOW, known, thorough=thorough)
    return source.collect(recorded, Occasion(looked, Moment(NOW, 0.0)))


def judged(root: Path, *memory: Remembered) -> list[Observation]:
    return list(detector.judge(collected(root, *memory), detector.NetworkNamespacesParams()))


def test_the_list_has_every_namespace_with_its_references() -> None:
    assert collected(RECORDED).listed == (
        Listed(HOST, 8, 2, 1, 2),
        Listed(LOST, 1, 1, 4097, 0),
        Listed(HIDDEN, 1, 1, 4098, None),
        Listed(LIVE, 1, 1, 4099, 1),
    )


def test_a_lost_namespace_has_its_inode_number_and_its_references_from_the_list() -> None:
    lost, _ = judged(RECORDED)

    assert (lost.subject.nsid, lost.subject.namespace) == (0, LOST)
    assert "holds it (the kernel counts 1 reference); end what used" in lost.message


def test_a_namespace_that_only_the_list_has_is_told() -> None:
    _, hidden = judged(RECORDED)

    assert (hidden.subject.nsid, hidden.subject.namespace) == (None, HIDDEN)
    assert (hidden.cause, hidden.severity) == ("HeldByKernel", Severity.INFO)
    assert hidden.cures == ()
    assert hidden.key == f"inode {HIDDEN} cookie 4098"


def test_a_hidden_namespace_of_a_pod_is_a_leak_of_that_pod() -> None:
    past = Remembered(HIDDEN, None, POD, "f" * 64, NOW, 4098)

    _, hidden = judged(RECORDED, past)

    assert (hidden.subject.pod, hidden.subject.pod_known_by) == ("shop/cart-2", "memory")
    assert hidden.severity is None


def test_the_list_is_a_view_without_the_hosts_own() -> None:
    values = {
        signal.name: signal.values(collected(RECORDED)) for signal in detector.DETECTOR.signals
    }

    assert values["network_namespaces"]["kernel",] == 3


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("proc/kcore.segments.json", '{"0x0": "7f45"}'),
        ("proc/kallsyms", ""),
        ("proc/kallsyms", "0000000000000000 D net_namespace_list\n"),
        ("sys/kernel/btf/vmlinux", "x"),
    ],
)
def test_a_list_that_cannot_be_read_costs_the_cross_check_only(
    path: str, content: str, host: Path
) -> None:
    (host / path).write_text(content)

    sample = collected(host)
    (lost,) = judged(host)

    assert (sample.listed, sample.hidden) == (None, ())
    assert lost.subject.nsid == 0
    assert lost.subject.namespace is None
    assert "something in flight holds it; end what used it" in lost.message


def test_a_process_that_keeps_a_namespace_without_an_id_is_named(host: Path) -> None:
    names = host / "netlink/namespaces.json"
    known = json.loads(names.read_text())
    names.write_text(json.dumps(known | {"sockets": {"122/4": HIDDEN}}))
    (host / "proc/122/comm").write_text("resolver\n")

    (_, pods) = judged(host, Remembered(HIDDEN, None, POD, None, NOW, 4098))

    assert [found.subject.nsid for found in judged(host)] == [0]
    assert pods.subject.holder == "socket 4 of resolver[122]"
