from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.hosts.recording import RecordingHost
from kernelhealth_agent.hosts.recordings import write
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.main import main
from kernelhealth_e2e.faults.namespace import sandbox


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("looks at every process of the machine: needs root")


def test_a_captured_host_answers_as_the_live_one_did(tmp_path: Path) -> None:
    target = tmp_path / "recorded"
    with sandbox() as pod:
        live = RecordingHost(LiveHost("/"))
        tasks, held = live.tasks(), live.descriptors()
        path = f"proc/{pod.pid}/ns/net"
        nsids = live.nsids([path])
        links = live.dump(rtnetlink.links_request())
        inner = live.dump(rtnetlink.links_request(), path)
        text, names = live.read("proc/sys/kernel/osrelease"), live.names("proc/sys/kernel/random")
        ids = live.links(f"proc/{pod.pid}/ns")

        write(live.recording(moments.now(), {}), target)

    recorded = RecordedHost(str(target))
    assert sorted(recorded.tasks(), key=str) == sorted(tasks, key=str)
    assert sorted(recorded.descriptors(), key=str) == sorted(held, key=str)
    assert recorded.nsids([path]) == nsids
    assert recorded.dump(rtnetlink.links_request()) == links
    assert recorded.dump(rtnetlink.links_request(), path) == inner
    assert recorded.read("proc/sys/kernel/osrelease") == text
    assert sorted(recorded.names("proc/sys/kernel/random")) == sorted(names)
    assert recorded.links(f"proc/{pod.pid}/ns").items() >= ids.items()


def test_a_capture_can_be_scanned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "recorded"

    code = main(["capture", "network_namespaces", "residual_links", "--to", str(target)])
    said = capsys.readouterr().out
    scanned = main(["scan", "--root", str(target), "--detector", "network_namespaces"])

    assert code == 0
    assert "Read through it before you give it away" in said
    assert scanned in {0, 1}


def test_a_directory_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("precious")

    code = main(["capture", "gssproxy", "--to", str(tmp_path)])

    assert code == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
