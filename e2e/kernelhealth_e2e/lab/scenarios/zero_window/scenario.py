"""The runs of zero_window, and the machine that they are played on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e.courses import rule, said
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.lab.outcome import Mark, Stage
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.lab.scenarios.zero_window.course import (
    SLOW,
    SOON,
    STUCK,
    Course,
    named,
    never_found,
)
from kernelhealth_e2e.scene import is_cordoned
from kernelhealth_e2e.vm.node import Settings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

_MTU = 65535
"""Segments as large as they can be: an emulated processor has much to do for each."""


def _machine(kernel: Kernel, _: Workshop) -> Settings:
    return Settings(kernel, mtu=_MTU)


def _repaired(bench: Bench, trial: Trial) -> None:
    course = Course(bench, "repaired")
    _until_named(course, trial)
    with trial.stage(Stage.TREATED, "RepairSocket") as saying:
        saying.words = _treated(bench, "RepairSocket")
    with trial.stage(Stage.VERIFIED, "the transfer ends, on that connection") as saying:
        ended = course.stuck.ended(connections=1)
        saying.words = f"{ended}, and nobody was disconnected; {course.given_back()}"


def _destroyed(bench: Bench, trial: Trial) -> None:
    # What a program has closed for writing cannot be repaired.
    course = Course(bench, "destroyed", ("--closing",))
    _until_named(course, trial)
    with trial.stage(Stage.TREATED, "DestroySocket") as saying:
        saying.words = _treated(bench, "DestroySocket")
    with trial.stage(Stage.VERIFIED, "the client connects anew, and its transfer ends") as saying:
        why = course.stuck.told(course.stuck.client, "disconnected")["why"]
        ended = course.stuck.ended(connections=2)
        saying.words = f"the client got {why} and connected anew: {ended}; {course.given_back()}"


def _until_named(course: Course, trial: Trial) -> None:
    with trial.stage(Stage.REPRODUCED, "a connection gets stuck") as saying:
        course.begin()
        received = course.received()
        before = course.stalled()
        saying.words = (
            f"{received}; the server has read all (Recv-Q 0), and the client's kernel goes on "
            f"probing a closed window with {before.unsent} bytes to send"
        )
    with trial.stage(Stage.DETECTED, f"{STUCK} of it, {SLOW} of its look-alike") as saying:
        found, look_alike = course.found(before)
        saying.words = f"{found['message']} Beside it: {look_alike}"
    with trial.stage(Stage.NAMED, "cause, both ends, program and cures") as saying:
        saying.words = named(found, course.stuck.title)


def _treated(bench: Bench, cure: str) -> str:
    """Let a policy take the rung of the shipped example; return what was said of the cure."""
    bench.policy("Auto", rule(STUCK, {"reclaim": {"verifyWithin": "2m"}}), detectors=SOON)
    treatment = bench.scene.observer.wait("noderemediations", "", "it has ended", _over, SECONDS)
    words, phase = said(treatment, "reclaim"), treatment["status"]["phase"]
    if phase != "Succeeded" or f"Succeeded: {cure}: 1 done" not in words:
        raise HarnessError(f"the treatment is {phase}, and reclaim said: {words}")
    if is_cordoned(bench.scene.get("node", bench.scene.name)):
        raise HarnessError("the node was cordoned, which the policy does not ask for")
    return words


def _over(treatment: Object) -> bool:
    return bool(treatment.get("status", {}).get("finishedAt"))


def _controlled(bench: Bench, trial: Trial) -> None:
    course = Course(bench, "control")
    with never_found(bench, STUCK):
        words = "the same happens, and no connection gets stuck"
        with trial.stage(Stage.REPRODUCED, words, Mark.SILENT) as saying:
            course.begin()
            received = course.received()
            ended = course.stuck.ended(connections=1)
            saying.words = f"{received}; then {ended}, untreated"
        words = f"{SLOW} of the slow reader, {STUCK} of nobody"
        with trial.stage(Stage.DETECTED, words, Mark.SILENT) as saying:
            saying.words = f"{STUCK} of nobody; {course.slow_reader()}"
        course.given_back()


SCENARIO = Scenario(
    "zero_window",
    "A connection whose kernel ignores each window that its peer announces (18a4c0eab262 is "
    "missing), beside one whose peer does not read.",
    {
        "6.1-without-18a4c0ea": (
            Run("repaired", "Repaired in place: the transfer ends undisturbed.", _repaired),
            Run(
                "destroyed",
                "Its program has closed it for writing, so that it has to be ended: the program "
                "connects anew.",
                _destroyed,
            ),
        ),
        "6.1-built": (
            Run(
                "control",
                "The same on the kernel with the fix.",
                _controlled,
                (Stage.REPRODUCED, Stage.DETECTED),
            ),
        ),
    },
    _machine,
)
