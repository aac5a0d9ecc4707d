"""The way to the host's files, from where an agent in a container stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelhealth_agent.hands import LiveHands, writable
from kernelhealth_e2e.treatment.ward import Scratch

PROGRAM = """
import sys
from pathlib import Path
from kernelhealth_agent.hands import LiveHands

class Write:
    name, host_wide = "write a file", True

    def do(self, root, keep):
        Path(keep, "before").write_text("as it was")
        Path(root + sys.argv[2]).write_text("as it is")

try:
    Path(sys.argv[1] + sys.argv[2]).write_text("not like this")
except OSError as error:
    print(error.strerror)
LiveHands(sys.argv[1], sys.argv[3]).do(Write(), "id-1")
"""


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("makes a mount namespace and looks at process 1: needs root")


def test_what_is_mounted_read_only_is_written_through_process_1(tmp_path: Path) -> None:
    """A container's view of the host: its root, read-only, with what is mounted below it."""
    host, target, kept = tmp_path / "host", tmp_path / "target", tmp_path / "kept"
    host.mkdir()
    mounts = f"mount --rbind / {host} && mount -o remount,bind,ro {host}"
    argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-c"]
    argv += [f'{mounts} && exec "$@"', "sh", sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    ended = subprocess.run(
        [*argv, str(host), str(target), str(kept)],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert target.read_text() == "as it is"
    assert (kept / "id-1" / "before").read_text() == "as it was"
    if not os.path.ismount(tmp_path):
        assert ended.stdout == "Read-only file system\n"


def test_on_the_host_itself_no_detour_is_made() -> None:
    assert writable("/") == "/"


def test_a_process_1_with_another_root_is_not_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "proc/1/root").mkdir(parents=True)

    with pytest.raises(PermissionError, match=r"it is another directory|No such file"):
        writable(str(tmp_path))


def test_hands_that_cannot_reach_the_host_say_what_they_lack(tmp_path: Path) -> None:
    said = LiveHands(str(tmp_path)).objection(Scratch(tmp_path, "a"))

    assert "cannot be reached through" in said
    assert "hostPID and CAP_SYS_PTRACE" in said


def test_a_deed_that_keeps_nothing_leaves_no_directory(tmp_path: Path) -> None:
    LiveHands("/", str(tmp_path / "kept")).do(Scratch(tmp_path, "a"), "id-1")

    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "kept" / "id-1").exists()


def test_what_is_kept_stays_below_the_hosts_root_whatever_links_there_are(tmp_path: Path) -> None:
    """On a host where /var is a link with an absolute path, which from here leads elsewhere."""
    host = tmp_path / "host"
    (host / "sysroot/var").mkdir(parents=True)
    (host / "var").symlink_to("/sysroot/var")
    (host / "proc/1").mkdir(parents=True)
    (host / "proc/1/root").symlink_to(host)

    LiveHands(str(host), "var/lib/kept").keep("id-1", "note", b"text")

    assert (host / "sysroot/var/lib/kept/id-1/note").read_bytes() == b"text"


@pytest.mark.parametrize("place", ["kept/id-1", "kept/id-1/note"])
def test_a_link_in_the_place_of_what_is_kept_is_not_followed(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / place).symlink_to(tmp_path / "other")

    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        LiveHands("/", str(tmp_path / "kept")).keep("id-1", "note", b"text")

    assert list((tmp_path / "other").iterdir()) == []


def test_what_is_kept_anew_replaces_what_was_kept(tmp_path: Path) -> None:
    hands = LiveHands("/", str(tmp_path / "kept"))
    hands.keep("id-1", "note", b"a longer text")

    hands.keep("id-1", "note", b"text")

    assert (tmp_path / "kept/id-1/note").read_bytes() == b"text"
