from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import mountinfo

ROOT = b"21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
BLUE = b"70 68 0:4 net:[4026532178] /run/netns/blue rw shared:4 - nsfs nsfs rw\n"


def test_mounted_namespaces_are_found_among_other_mounts() -> None:
    text = ROOT + BLUE + ROOT + BLUE.replace(b"4026532178", b"4026532300").replace(b"blue", b"red")

    assert mountinfo.network_namespaces(text, "mounts") == [
        (4026532178, "/run/netns/blue"),
        (4026532300, "/run/netns/red"),
    ]


@pytest.mark.parametrize("optional", [b"", b"shared:4 ", b"shared:4 master:2 propagate_from:1 "])
def test_optional_fields_may_be_any_number(optional: bytes) -> None:
    line = BLUE.replace(b"shared:4 ", optional)

    assert mountinfo.network_namespaces(line, "mounts") == [(4026532178, "/run/netns/blue")]


def test_namespaces_of_other_kinds_are_left_out() -> None:
    text = BLUE.replace(b"net:[", b"mnt:[") + BLUE.replace(b"net:[", b"user:[")

    assert mountinfo.network_namespaces(text, "mounts") == []


def test_a_mount_of_an_ordinary_file_is_no_namespace() -> None:
    line = b"71 68 254:1 /net:[4026532178] /run/x rw - ext4 /dev/vda1 rw\n"

    assert mountinfo.network_namespaces(line, "mounts") == []


def test_blanks_in_a_mount_point_come_back() -> None:
    line = BLUE.replace(b"/blue", rb"/a\040b\011c\012d\134e")

    assert mountinfo.network_namespaces(line, "mounts") == [(4026532178, "/run/netns/a b\tc\nd\\e")]


def test_a_line_that_is_cut_off_is_named() -> None:
    text = ROOT + b"70 68 0:4 net:[4026532178] - nsfs nsfs\n"

    with pytest.raises(errors.UnreadableError, match=r"^proc/7/mountinfo:2 cannot be understood"):
        mountinfo.network_namespaces(text, "proc/7/mountinfo")


@settings(deadline=None)
@given(
    st.binary() | st.lists(st.sampled_from([BLUE, ROOT, b" - nsfs ", b"net:[1] "])).map(b"".join)
)
def test_any_bytes_give_mounts_or_name_the_file(text: bytes) -> None:
    try:
        found = mountinfo.network_namespaces(text, "mounts")
    except errors.UnreadableError as error:
        assert (error.path, error.line > 0) == ("mounts", True)  # noqa: PT017 - Both are right.
    else:
        assert all(inode >= 0 for inode, _ in found)


@settings(deadline=None)
@given(st.integers(0, 2**63), st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_every_mount_comes_back(inode: int, name: str) -> None:
    escaped = name.replace("\\", r"\134").replace(" ", r"\040").replace("\n", r"\012")
    line = f"70 68 0:4 net:[{inode}] /run/{escaped} rw - nsfs nsfs rw\n".encode()

    assert mountinfo.network_namespaces(line, "mounts") == [(inode, f"/run/{name}")]
