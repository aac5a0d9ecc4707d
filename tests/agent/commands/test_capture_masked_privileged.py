"""A masked capture of this machine while things are wrong with it: none of their names is left."""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from pathlib import Path

import pytest

from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import tcp_counters
from kernelhealth_agent.main import main
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import veth
from kernelhealth_e2e.faults.zero_window import zero_window

WRITER, READER = ("198.51.100.17/28", "198.51.100.18/28")
PATIENCE = 60.0
LEAKED = "203.0.113.77/24"


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("makes real kernel state: needs root")


def captured(target: Path, *, masked: bool) -> bytes:
    """Capture this machine; return all paths and contents, netlink answers as bytes too."""
    assert main(["capture", "--to", str(target), *(["--mask"] if masked else [])]) == 0
    parts = []
    for path in target.rglob("*"):
        parts.append(str(path.relative_to(target)).encode())
        if path.is_symlink():
            parts.append(str(path.readlink()).encode())
        elif path.is_file():
            parts.append(path.read_bytes())
            if path.suffix == ".hex":
                parts += [bytes.fromhex(line) for line in path.read_text().splitlines()]
    return b"\n".join(parts)


def signs(address: str) -> tuple[bytes, ...]:
    """Return how an address may be written down: as text, in a message, in a table of procfs."""
    host = address.partition("/")[0]
    raw = ipaddress.ip_address(host).packed
    return host.encode(), raw, raw[::-1].hex().upper().encode()


def await_probe(pid: int) -> None:
    """Wait for the kernel to probe the closed window: nothing tells when its timer has fired."""
    path, until = f"/proc/{pid}/net/netstat", time.monotonic() + PATIENCE
    while not tcp_counters.window_probes(Path(path).read_bytes(), path):
        assert time.monotonic() < until
        threading.Event().wait(0.02)


def test_a_masked_capture_has_no_address_of_a_leak_or_of_a_stalled_connection(
    tmp_path: Path,
) -> None:
    with sandbox() as pod, zero_window((WRITER, READER)) as stall:
        await_probe(stall.writer_pid)
        (nsid,) = LiveHost("/").nsids([pod.file.lstrip("/")])
        with veth(pod.pid, LEAKED), held_namespace.socket_in_flight(pod.file):
            pod.stop()
            plain = captured(tmp_path / "plain", masked=False)
            masked = captured(tmp_path / "masked", masked=True)

    assert nsid is None
    for address in (WRITER, READER, LEAKED):
        assert any(sign in plain for sign in signs(address))
        assert not [sign for sign in signs(address) if sign in masked]
