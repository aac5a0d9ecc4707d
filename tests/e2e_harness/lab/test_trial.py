"""The record of a run, and what is chosen to be played."""

from __future__ import annotations

import io

import pytest

from kernelhealth_e2e.lab import selection
from kernelhealth_e2e.lab.outcome import Mark, Stage
from kernelhealth_e2e.lab.scenarios import SCENARIOS
from kernelhealth_e2e.lab.selection import SelectionError
from kernelhealth_e2e.lab.trial import Trial
from kernelhealth_e2e.progress import Progress


def trial() -> Trial:
    times = iter((1.0, 3.5, 10.0, 11.0))
    return Trial("a run", Progress(stream=io.StringIO()), clock=lambda: next(times))


def test_a_stage_is_recorded_with_its_seconds_and_the_last_word() -> None:
    playing = trial()

    with playing.stage(Stage.DETECTED, "a finding is awaited") as saying:
        saying.words = "a finding came"

    (step,) = playing.steps
    assert (step.stage, step.mark, step.seconds) == (Stage.DETECTED, Mark.YES, 2.5)
    assert step.words == "a finding came"


def test_what_is_raised_within_a_stage_ends_it_as_failed() -> None:
    playing = trial()

    with pytest.raises(ValueError, match="gone"), playing.stage(Stage.NAMED, "a name"):
        raise ValueError("gone")

    assert [step.mark for step in playing.steps] == [Mark.FAILED]


def test_every_scenario_is_there_for_whoever_asks_for_nothing() -> None:
    found = selection.chosen(SCENARIOS)

    assert {scenario.name for scenario, _ in found} == {one.name for one in SCENARIOS}


def test_one_may_ask_for_one_scenario_on_one_kernel() -> None:
    ((scenario, kernel),) = selection.chosen(SCENARIOS, "breadth", "6.12")

    assert (scenario.name, kernel) == ("breadth", "6.12")


def test_asking_for_what_is_not_there_says_what_is() -> None:
    with pytest.raises(SelectionError, match=r"breadth on 6\.12"):
        selection.chosen(SCENARIOS, "breadth", "2.4")


def test_what_is_always_played_is_among_what_can_be_played() -> None:
    for scenario in SCENARIOS:
        for kernel, names in scenario.always.items():
            assert set(names) <= {run.name for run in scenario.on[kernel]}


def test_only_the_runs_that_are_always_played_are_left_then() -> None:
    for scenario, kernel in selection.always(SCENARIOS):
        names = [run.name for run in scenario.on[kernel]]
        assert names
        assert list(scenario.on) == [kernel]


def test_names_are_given_once() -> None:
    names = [one.name for one in SCENARIOS]
    runs = [(one.name, k, run.name) for one in SCENARIOS for k, rs in one.on.items() for run in rs]

    assert len(set(names)) == len(names)
    assert len(set(runs)) == len(runs)
