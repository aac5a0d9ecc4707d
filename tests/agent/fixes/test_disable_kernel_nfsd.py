from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.detectors import gssproxy as detector
from kernelhealth_agent.fixes.disable_kernel_nfsd import FIX
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import gssproxy, gssproxy_switch
from kernelhealth_agent.kernel.gssproxy import Memory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import gssproxy as source
from kernelhealth_agent.surgery import End
from kernelhealth_api.detector import Observation

from .conftest import Machine, observation

Recorded = Callable[..., tuple[RecordedHost, Occasion[Memory]]]
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
FOUND = observation("UseGssProxyInContainer", namespace=4026532178)
FIRST = "etc/gssproxy/24-nfs-server.conf"
TEXT = "[service/nfs-server]\n  mechs = krb5\n  kernel_nfsd = yes\n  euid = 0\n"


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """A host whose own gssproxy makes the kernel its client."""
    machine.write("proc/modules", "auth_rpcgss 192512 0 - Live 0x0\n")
    machine.write(FIRST, TEXT).chmod(0o600)
    machine.write("etc/gssproxy/99-other.conf", "[service/web]\n  mechs = krb5\n")
    return machine


def test_the_one_line_is_changed_and_the_file_kept(machine: Machine) -> None:
    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED
    assert machine.read(FIRST) == TEXT.replace("kernel_nfsd = yes", "kernel_nfsd = no")
    assert (machine.root / FIRST).stat().st_mode & 0o777 == 0o600
    (kept,) = machine.kept.iterdir()
    assert kept.read_text() == TEXT


def test_it_is_refused_where_nothing_is_switched_on(machine: Machine) -> None:
    machine.write(FIRST, TEXT.replace("yes", "no"))

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, result.why) == (End.REFUSED, "kernel_nfsd is not on there")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("proc/modules", "nfsd 1 0 - Live 0x0\n"),
        ("etc/exports", "/srv *(sec=krb5)\n"),
        ("proc/1/mountinfo", "41 35 0:53 / /proc/fs/nfsd rw - nfsd nfsd rw\n"),
    ],
)
def test_an_nfs_server_keeps_its_gssproxy(machine: Machine, path: str, text: str) -> None:
    machine.write(path, text)

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.REFUSED
    assert machine.read(FIRST) == TEXT


def test_it_works_in_a_kernel_without_modules(machine: Machine) -> None:
    (machine.root / "proc/modules").unlink()

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


def test_a_file_that_is_a_link_is_left_alone(machine: Machine) -> None:
    (machine.root / FIRST).rename(machine.root / "package.conf")
    (machine.root / FIRST).symlink_to("../../package.conf")

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, "is no regular file" in result.why) == (End.FAILED, True), result
    assert machine.read("package.conf") == TEXT


def test_it_is_refused_where_a_file_cannot_be_read(machine: Machine) -> None:
    machine.write("etc/gssproxy/50-large.conf", "#" * 70_000)

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, "50-large.conf was not read" in result.why) == (End.REFUSED, True), result


def test_the_files_are_put_back_as_they_were(machine: Machine) -> None:
    machine.treat(FIX, FOUND)
    (aim,) = FIX.aims([FOUND])
    assert FIX.undo is not None

    for deed in FIX.undo(machine.host, aim):
        deed.do(str(machine.root), str(machine.kept))

    assert machine.read(FIRST) == TEXT
    assert machine.read("etc/gssproxy/99-other.conf") == "[service/web]\n  mechs = krb5\n"


def test_what_the_detector_names_it_for_is_cured_by_it(tmp_path: Path, recorded: Recorded) -> None:
    """A pod that was given the host's own folder: from the finding to its end."""
    root = tmp_path / "host"
    shutil.copytree(HOSTS / "gssproxy-shared", root, symlinks=True)
    (root / "proc/1/root").symlink_to(root)
    named = [found for found in judged(recorded, root) if FIX.name in found.cures]

    (result,) = Machine(root).treat(FIX, *named)

    assert len(named) == 2
    assert result.end is End.ACHIEVED, result
    assert "kernel_nfsd = no\n" in (root / FIRST).read_text()
    assert [FIX.name in found.cures for found in judged(recorded, root)] == [False]


def judged(recorded: Recorded, root: Path) -> list[Observation]:
    sample = source.collect(*recorded(str(root)))
    return list(detector.judge(sample, detector.GssproxyParams()))


LINES = st.lists(
    st.sampled_from(
        [
            b"[service/nfs]",
            b"[service/b]",
            b"[gssproxy]",
            b"kernel_nfsd = yes",
            b"  KERNEL_NFSD=1\r",
            b"kernel_nfsd = no",
            b"#kernel_nfsd = yes",
            b"euid = 0",
            b"/* kernel_nfsd = on",
            b"*/",
            b"",
        ]
    ),
    max_size=12,
)


@given(LINES)
def test_after_it_no_service_has_it_on_and_all_else_is_as_it_was(lines: list[bytes]) -> None:
    before = b"\n".join(lines)

    after = gssproxy_switch.switched_off(before)

    assert gssproxy.kernel_nfsd(after) is None
    changed = [(a, b) for a, b in zip(lines, after.split(b"\n"), strict=bool(lines)) if a != b]
    assert all(a.strip().lower().startswith(b"kernel_nfsd") for a, _ in changed)
    assert (before == after) == (gssproxy.kernel_nfsd(before) is None)
