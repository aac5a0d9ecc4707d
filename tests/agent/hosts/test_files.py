from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import LARGEST, Descriptor, Task, files, processes
from kernelhealth_agent.hosts.files import Files


@pytest.fixture
def host(tmp_path: Path) -> Files:
    (tmp_path / "proc").mkdir()
    return Files(str(tmp_path))


def process(root: Path, pid: int, netns: str = "net:[100]", *threads: str) -> Path:
    directory = root / "proc" / str(pid)
    (directory / "ns").mkdir(parents=True)
    (directory / "fd").mkdir()
    (directory / "ns/net").symlink_to(netns)
    (directory / "ns/mnt").symlink_to("mnt:[50]")
    for number, place in enumerate((netns, *threads)):
        thread = directory / "task" / str(pid + number) / "ns"
        thread.mkdir(parents=True)
        (thread / "net").symlink_to(place)
        (thread / "mnt").symlink_to("mnt:[50]")
    return directory


def test_a_file_is_read_below_the_root_and_no_further_than_asked(
    host: Files, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))

    assert len(host.read("large")) == LARGEST
    assert host.read("large", 3) == b"xxx"
    assert host.read("large", 0) == b""


@pytest.mark.parametrize("root", ["", "/"])
def test_a_root_may_end_with_a_slash(root: str, tmp_path: Path) -> None:
    (tmp_path / "comm").write_text("x")

    assert Files(f"{tmp_path}{root}").read("comm") == b"x"


def test_a_file_that_is_not_there_is_absent_and_named(host: Files) -> None:
    for ask in (host.read, host.names, host.link, host.links):
        with pytest.raises(errors.AbsentError, match=r"^proc/7/comm does not exist on this host$"):
            ask("proc/7/comm")


def test_a_directory_cannot_be_read_as_a_file(host: Files) -> None:
    with pytest.raises(errors.UnreadableError, match=r"^proc cannot be understood: Is a directory"):
        host.read("proc")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ENOENT", errors.AbsentError),
        ("ESRCH", errors.AbsentError),
        ("EACCES", errors.ForbiddenError),
        ("EPERM", errors.ForbiddenError),
        ("EINVAL", errors.UnreadableError),
        ("EIO", errors.UnreadableError),
    ],
)
def test_what_the_system_says_has_one_meaning(code: str, kind: type[errors.HostError]) -> None:
    number: int = getattr(__import__("errno"), code)

    with pytest.raises(kind) as caught, files.translated("proc/7/comm"):
        raise OSError(number, os.strerror(number))
    assert caught.value.path == "proc/7/comm"


def test_links_are_told_by_name_and_other_entries_left_out(host: Files, tmp_path: Path) -> None:
    process(tmp_path, 7)
    (tmp_path / "proc/7/ns/plain").touch()

    assert host.links("proc/7/ns") == {"net": "net:[100]", "mnt": "mnt:[50]"}
    assert host.link("proc/7/ns/net") == "net:[100]"


def test_a_thread_is_known_by_what_it_reads(host: Files, tmp_path: Path) -> None:
    pipe = tmp_path / "hangs"
    os.mkfifo(pipe)
    reader = threading.Thread(target=host.read, args=("hangs",))
    reader.start()
    with pipe.open("wb"):  # Opens when the reader has come that far.
        doing = host.doing(reader.ident or 0)
    reader.join()

    assert doing == "hangs"
    assert host.doing(0) == "nothing"


def test_processes_and_threads_that_left_them_are_listed(host: Files, tmp_path: Path) -> None:
    process(tmp_path, 7)
    process(tmp_path, 17, "net:[200]", "net:[200]", "net:[300]")
    (tmp_path / "proc/net").mkdir()

    assert sorted(host.tasks(), key=lambda task: task.pid) == [
        Task(7, 100, 50),
        Task(17, 200, 50),
        Task(19, 300, 50),
    ]


def test_a_process_whose_first_thread_ended_is_where_its_others_are(
    host: Files, tmp_path: Path
) -> None:
    directory = process(tmp_path, 17, "net:[200]", "net:[300]")
    for path in (directory / "ns", directory / "task/17/ns"):
        (path / "net").unlink()
        (path / "mnt").unlink()

    assert host.tasks() == [Task(18, 300, 50)]


def test_a_process_that_ended_is_left_out(host: Files, tmp_path: Path) -> None:
    (process(tmp_path, 17) / "ns/net").unlink()

    assert host.tasks() == []


@pytest.mark.parametrize("target", ["net:[]", "net:[x]", "", "net"])
def test_a_link_that_names_no_namespace_is_named(target: str, host: Files, tmp_path: Path) -> None:
    process(tmp_path, 17, target or "-")

    with pytest.raises(errors.UnreadableError, match=r"^proc/17/ns cannot be understood"):
        host.tasks()


def test_open_namespace_files_are_listed_but_those_of_one_process(
    host: Files, tmp_path: Path
) -> None:
    for pid in (7, 17):
        directory = process(tmp_path, pid)
        (directory / "fd/3").symlink_to("net:[300]")
        (directory / "fd/4").symlink_to("socket:[300]")

    assert {d.pid for d in host.descriptors()} == {7, 17}
    assert processes.descriptors([f"{tmp_path}/proc/7", f"{tmp_path}/proc/17"], 7) == [
        Descriptor(17, 3, 300)
    ]


def test_what_a_process_without_its_first_thread_has_open_is_listed(
    host: Files, tmp_path: Path
) -> None:
    directory = process(tmp_path, 17, "net:[100]", "net:[100]")
    (directory / "task/18/fd").mkdir()
    (directory / "task/18/fd/5").symlink_to("net:[300]")

    assert host.descriptors() == [Descriptor(17, 5, 300)]


def test_an_open_file_that_names_no_namespace_is_named(host: Files, tmp_path: Path) -> None:
    (process(tmp_path, 17) / "fd/3").symlink_to("net:[x]")

    with pytest.raises(errors.UnreadableError, match=r"^proc/17/fd/3 cannot be understood"):
        host.descriptors()


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_path_below_the_root_gives_bytes_or_an_error_that_names_it(path: str) -> None:
    host = Files("/proc/self/fdinfo")

    try:
        found = host.read(path.lstrip("/.").replace("\0", "").encode("utf-8", "replace").decode())
    except errors.HostError as error:
        assert error.path in str(error)  # noqa: PT017 - Both outcomes are right.
    else:
        assert isinstance(found, bytes)
