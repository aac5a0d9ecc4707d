from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.hosts import Task
from kernelhealth_agent.inventory import groups
from kernelhealth_agent.kernel.namespaces import Mount

POD = 4026532178
tasks = st.lists(
    st.builds(Task, st.integers(1, 99), st.just(POD), st.integers(1, 12)),
    min_size=1,
    max_size=40,
    unique_by=lambda task: task.pid,
)


def test_of_a_pod_with_many_processes_the_other_container_is_known_too() -> None:
    workers = [Task(pid, POD, 1) for pid in range(10, 30)]

    (space,) = groups.grouped([*workers, Task(99, POD, 2)], {})

    assert space.pids == (10, 11, 12, 13, 14, 15, 16, 99)
    assert space.processes == 21


def test_a_namespace_without_a_process_is_known_by_its_mounts() -> None:
    mount = Mount(1, "/run/netns/x")

    (space,) = groups.grouped([], {POD: [mount]})

    assert (space.pids, space.mounts) == ((), (mount,))


@given(tasks)
def test_the_first_process_and_eight_mount_namespaces_are_always_among_those_kept(
    found: list[Task],
) -> None:
    (space,) = groups.grouped(found, {})

    spaces = {task.pid: task.mntns for task in found}
    assert space.pids[0] == min(spaces)
    assert list(space.pids) == sorted(set(space.pids))
    assert len(space.pids) == min(8, len(found))
    assert len({spaces[pid] for pid in space.pids}) == min(8, len(set(spaces.values())))
