from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.observing import NotSeenError, Object, Observer

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
KIND = "nodekernelhealths"
DEFINITION = ("crd", f"{KIND}.kernelhealth.io")
AWAITED = {
    "apiVersion": "kernelhealth.io/v1alpha1",
    "kind": "NodeKernelHealth",
    "metadata": {"name": "awaited"},
}
CHANGED = '{"spec": {"names": {"shortNames": ["another"]}}}'


@pytest.fixture
def plane(control_plane_binaries: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server of the test's own, with an object of a kind that the test may change."""
    with ControlPlane(Settings(control_plane_binaries, tmp_path)) as running:
        running.kubectl("apply", "-f", str(ROOT / "crds" / f"{KIND}.yaml"))
        running.kubectl("wait", "--for=condition=Established", "--timeout=60s", *DEFINITION)
        running.kubectl("apply", "-f", "-", stdin=json.dumps(AWAITED))
        yield running


def test_the_wait_goes_on_when_the_server_ends_the_watch_of_a_kind_that_changes(
    plane: ControlPlane,
) -> None:
    versions = SimpleQueue[Object]()

    with ThreadPoolExecutor() as others:
        seen = others.submit(wait, plane, versions)
        versions.get(timeout=SECONDS)
        plane.kubectl("patch", *DEFINITION, "--type=merge", "--patch", CHANGED)
        versions.get(timeout=SECONDS)
        plane.kubectl("label", KIND, "awaited", "stage=done")

        assert seen.result()["metadata"]["labels"] == {"stage": "done"}


def test_what_was_not_seen_in_time_is_shown_as_it_was_last(plane: ControlPlane) -> None:
    observer = Observer(plane.settings.binaries / "kubectl", plane.kubeconfig)

    with pytest.raises(NotSeenError, match=r"within 1 s: a label; it is (.|\n)*awaited"):
        observer.wait(KIND, "awaited", "a label", is_done, 1)


def wait(plane: ControlPlane, versions: SimpleQueue[Object]) -> Object:
    """Wait for a label; each version that is seen goes into the queue."""
    observer = Observer(plane.settings.binaries / "kubectl", plane.kubeconfig)

    def holds(version: Object) -> bool:
        versions.put(version)
        return is_done(version)

    return observer.wait(KIND, "awaited", "a label", holds, SECONDS)


def is_done(version: Object) -> bool:
    return "stage" in version["metadata"].get("labels", {})
