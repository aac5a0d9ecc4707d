"""One time that namespaces are stuck, told from the next."""

from __future__ import annotations

from kernelhealth_agent.kernel.canary import Step
from kernelhealth_agent.kernel.canary_history import Stall
from kernelhealth_agent.kernel.task_files import Task
from kernelhealth_agent.kernel.teardown_episodes import Episode, episode


def task(pid: int) -> Task:
    return Task(pid, f"kworker/u4:{pid}+netns", "D", 0.0, 1, 1000 + pid)


def stall(since: float) -> Stall:
    return Stall(since, since, 40.0, Step.TEARDOWN, "quota")


def test_nothing_that_is_stuck_is_no_episode() -> None:
    assert episode(None, None, ()) is None
    assert episode(Episode("canary/5", ("canary/5",)), None, ()) is None


def test_it_is_named_after_its_first_sign() -> None:
    assert episode(None, stall(5.0), [task(7)]) == Episode("canary/5", ("canary/5", "task/7/1007"))
    assert episode(None, None, [task(7)]) == Episode("task/7/1007", ("task/7/1007",))


def test_it_keeps_its_name_while_one_sign_hands_over_to_the_next() -> None:
    begun = episode(None, stall(5.0), ())
    with_worker = episode(begun, stall(5.0), [task(7)])
    without_canary = episode(with_worker, None, [task(7)])

    assert without_canary == Episode("canary/5", ("task/7/1007",))


def test_without_a_sign_in_common_it_is_another_one() -> None:
    past = Episode("canary/5", ("canary/5", "task/7/1007"))

    assert episode(past, stall(90.0), [task(8)]) == Episode(
        "canary/90", ("canary/90", "task/8/1008")
    )


def test_it_remembers_no_more_than_some_signs() -> None:
    crowd = episode(None, None, map(task, range(100)))

    assert crowd is not None
    assert len(crowd.signs) == 8
