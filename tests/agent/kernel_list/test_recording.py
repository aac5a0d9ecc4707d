from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_agent import kernel_list, moments
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.hosts.recording import RecordingHost
from kernelhealth_agent.hosts.recordings import write

if TYPE_CHECKING:
    from .conftest import Kernel

HOST, LIVE, LOST = 4026531840, 4026532261, 4026532157


def test_a_recording_of_the_list_has_what_was_read_of_it_and_no_more(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.spaces((HOST, 9, 2), (LIVE, 2, 1), (LOST, 1, None))
    kernel.written()
    symbols = kernel.root / "proc/kallsyms"
    symbols.write_text(f"ffffffff80000000 T secret\n{symbols.read_text()}")
    recording = RecordingHost(LiveHost(str(kernel.root)))

    listed = kernel_list.read(recording)
    write(recording.recording(moments.now(), {}), tmp_path / "recorded")

    host = RecordedHost(str(tmp_path / "recorded"))
    assert kernel_list.read(host) == listed
    assert len(listed) == 3
    assert b"secret" not in host.read("proc/kallsyms")
    assert not (tmp_path / "recorded/proc/kcore").exists()
