"""The main job, played once with the shipped policy: seen, named, cordoned, cured, given back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from kernelhealth_e2e import installation, pods
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.courses import phases
from kernelhealth_e2e.demo.stage import about, condition, finding
from kernelhealth_e2e.fixtures import played
from kernelhealth_e2e.observing import NotSeenError, Object, Recording
from kernelhealth_e2e.scene import (
    AGENT_METRICS,
    CONDITION,
    LEAK,
    OWNER,
    SECONDS,
    Scene,
    is_cordoned,
    is_well,
    owner,
)
from kernelhealth_e2e.scraping import Samples


@dataclass(frozen=True, slots=True)
class Story:
    """What was there at each turn of the story."""

    pod: pods.Started
    found: Object
    cordoned: Object
    described: str
    cured: Object
    given_back: Object
    treatments: list[Object]


@pytest.fixture(scope="module")
def story(installed: Cluster) -> Iterator[Story]:
    """Play it from the pod's start to the node's return."""
    # Closed also when the story fails: a policy that stays would spoil all that follows.
    with contextmanager(played)(installed) as scene:
        scene.kubectl("apply", "-f", str(installation.POLICY))
        scene.followed("workers")
        metrics = scene.cluster.publish(AGENT_METRICS)
        with scene.observer.record("noderemediations") as recording:
            pod = scene.start("cart-7")
            with scene.leaking(pod) as began:
                await_suspicion(scene, began, metrics)
                found = scene.health("the pod is named", about(LEAK, pod.title))
                cordoned = scene.node("cordoned by us", lambda one: bool(owner(one)))
                scene.node("has the condition", lambda one: health_of(one) == "False")
                described = await_description(scene)
            cured = scene.health("the finding is gone", is_well)
            given_back = scene.node("given back", lambda one: not is_cordoned(one))
            scene.treatment("Succeeded")
            scene.node("the condition is well", lambda one: health_of(one) == "True")
            treatments = ended(recording)
        yield Story(pod, found, cordoned, described, cured, given_back, treatments)


def test_the_leak_is_named_with_its_pod_although_nothing_leads_to_it(story: Story) -> None:
    leak = finding(story.found, LEAK)

    assert leak is not None
    assert leak["subject"]["pod"] == story.pod.title
    assert leak["subject"]["podUid"] == story.pod.uid
    assert leak["subject"]["namespace"] > 0
    assert leak["subject"]["podKnownBy"] == "memory"
    assert story.pod.title in leak["message"]


def test_the_report_is_a_warning_in_its_summary_and_in_its_condition(story: Story) -> None:
    status = story.found["status"]

    assert status["health"] == "Warning"
    assert LEAK in status["problems"]
    assert condition(story.found, CONDITION)["reason"] == LEAK


def test_the_node_is_cordoned_in_the_name_of_the_treatment(story: Story) -> None:
    (treatment,) = {one["metadata"]["name"] for one in story.treatments}

    assert is_cordoned(story.cordoned)
    assert owner(story.cordoned) == treatment


def test_a_person_who_describes_the_node_sees_condition_and_events(story: Story) -> None:
    lines = story.described.splitlines()

    assert any(CONDITION in line and "False" in line and LEAK in line for line in lines)
    assert any("NodeCordoned" in line and "kernelhealth" in line for line in lines)
    assert "SchedulingDisabled" in story.described or "Unschedulable:      true" in lines


def test_the_treatment_went_through_its_phases_in_order(story: Story) -> None:
    course = phases(story.treatments)

    assert course[-2:] == ["Verifying", "Succeeded"]
    assert set(course) <= {"Waiting", "Running", "Verifying", "Succeeded"}
    assert len(course) == len(set(course))


def test_the_treatment_keeps_the_evidence_and_what_was_done(story: Story) -> None:
    status = story.treatments[-1]["status"]

    assert status["evidence"][0]["reason"] == LEAK
    assert status["evidence"][0]["subject"]["pod"] == story.pod.title
    assert [rung["state"] for rung in status["rungs"]] == ["Reverted"]
    assert status["finishedAt"] >= status["startedAt"]


def test_when_the_holder_goes_everything_is_as_it_was(story: Story) -> None:
    annotations = story.given_back["metadata"]["annotations"]

    assert condition(story.cured, CONDITION)["status"] == "True"
    assert not is_cordoned(story.given_back)
    assert OWNER not in annotations


def await_suspicion(scene: Scene, began: float, metrics: str) -> None:
    """Wait until the agent suspects the leak or is sure of it already, and print after how long.

    Its metrics tell at once; the reports of mere suspicions are rationed, and other tests may have
    used the ration up.
    """
    told = tuple(f'kernelhealth_{how}{{reason="{LEAK}"' for how in ("suspected", "findings"))

    def is_told(samples: Samples) -> bool:
        return any(value for series, value in samples.items() if series.startswith(told))

    scene.counted(metrics, "suspected", is_told)
    print(f"\nsuspected {time.monotonic() - began:.1f} s after the deletion was asked for")


def ended(recording: Recording) -> list[Object]:
    """Return what was recorded, once that has the end of the treatment in it.

    It may be behind the watch that has told of the end, and nothing tells when it is not.
    """
    deadline = time.monotonic() + SECONDS
    while phases(versions := recording.versions())[-1:] != ["Succeeded"]:
        if time.monotonic() > deadline:
            raise NotSeenError(f"not recorded within {SECONDS:.0f} s: the end; but {versions[-1:]}")
        time.sleep(0.25)
    return versions


def await_description(scene: Scene) -> str:
    """Describe the Node as soon as there is an Event about the cordon."""
    selector = f"involvedObject.kind=Node,involvedObject.name={scene.name},reason=NodeCordoned"
    wait = ("wait", "--for=create", "events", f"--field-selector={selector}", "--timeout=60s")
    scene.kubectl(*wait, "--namespace=default")
    return scene.kubectl("describe", "node", scene.name)


def health_of(node: Object) -> str:
    """Return the status of our condition of a Node."""
    return str(condition(node, CONDITION).get("status", ""))
