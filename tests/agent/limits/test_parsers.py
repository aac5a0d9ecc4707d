from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import inotify, limits, pod_pids
from kernelhealth_agent.kernel.inotify import Share, User

PATH = "proc/loadavg"


def test_the_threads_of_all_processes_are_read() -> None:
    assert limits.threads(b"0.03 0.24 2.18 1/94 27593\n", PATH) == 94


@pytest.mark.parametrize("content", [b"", b"0.03 0.24 2.18\n", b"a b c 1/x 2\n"])
def test_what_is_no_such_line_names_the_file(content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=PATH):
        limits.threads(content, PATH)


@pytest.mark.parametrize(
    ("line", "group"),
    [
        ("0::/kubepods/burstable/pod1/c", "/kubepods"),
        ("0::/kubepods.slice/kubepods-pod1.slice/c", "/kubepods.slice"),
        ("0::/docker/4c1e/kubelet/kubepods/pod1", "/docker/4c1e/kubelet/kubepods"),
        ("0::/system.slice/cron.service", None),
    ],
)
def test_the_group_of_all_pods_is_found_wherever_it_is(line: str, group: str | None) -> None:
    assert pod_pids.group(f"8:cpu:/\n{line}\n".encode()) == group


def test_users_are_summed_up_with_who_has_most() -> None:
    answer = {"whole": True, "processes": [[0, 7, 2, 90], [0, 8, 5, 10], [1000, 9, 1, 0]]}

    found, whole = inotify.users(json.dumps(answer).encode(), PATH)

    assert whole
    assert found[0] == User(0, 7, 100, Share(8, 5, 10), Share(7, 2, 90))
    assert found[1].uid == 1000


def test_a_pod_that_nobody_knows_has_its_uid() -> None:
    uid = "8a7f0000-0000-4000-8000-000000000001"
    answer = json.dumps([[f"sys/kubepods/pod{uid}", 5, 6, 0]]).encode()

    (found,) = pod_pids.pods(answer, PATH, {}, {}, 0.0)

    assert found.tenant is not None
    assert found.tenant.title == f"pod uid {uid}"


@given(st.binary())
def test_any_bytes_give_a_value_or_say_what_is_wrong(content: bytes) -> None:
    assert pod_pids.refused(content) >= 0
    assert pod_pids.maximum(content) is None or pod_pids.number(content) > 0
    pod_pids.group(content)
    for decode in (limits.threads, inotify.users):
        with contextlib.suppress(errors.UnreadableError):
            decode(content, PATH)
    with contextlib.suppress(errors.UnreadableError):
        pod_pids.pods(content, PATH, {}, {}, 0.0)


@given(
    st.lists(
        st.lists(st.integers() | st.text(max_size=60) | st.none(), min_size=3, max_size=5),
        max_size=4,
    )
)
def test_any_rows_give_a_value_or_say_what_is_wrong(rows: list[list[object]]) -> None:
    with contextlib.suppress(errors.UnreadableError):
        inotify.users(json.dumps({"processes": rows}).encode(), PATH)
    with contextlib.suppress(errors.UnreadableError):
        pod_pids.pods(json.dumps(rows).encode(), PATH, {}, {}, 0.0)
