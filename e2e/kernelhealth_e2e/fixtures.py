"""pytest fixtures: a control plane for layer 3, a whole cluster for layer 4."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kernelhealth_e2e import cache, existing, installation, interruption, provision, runs
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.cluster import Settings as ClusterSettings
from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.errors import UnavailableError
from kernelhealth_e2e.observing import Observer
from kernelhealth_e2e.progress import Progress
from kernelhealth_e2e.scene import AGENT_METRICS, Scene, is_well

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def progress() -> Progress:
    """Where the harness says what it does."""
    return Progress()


@pytest.fixture(scope="session")
def harness_cache() -> Cache:
    """The cache directory outside the tree."""
    return Cache(cache.directory(os.environ))


@pytest.fixture(scope="session")
def control_plane_binaries(harness_cache: Cache, progress: Progress) -> Path:
    """A directory with kube-apiserver and kubectl; what Debian has is installed too."""
    try:
        return provision.for_control_plane(os.environ, harness_cache, progress)
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def control_plane(
    control_plane_binaries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A real API server on loopback, shared by the whole session: clean up what you create."""
    directory = tmp_path_factory.mktemp("control-plane")
    with ControlPlane(Settings(control_plane_binaries, directory)) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(harness_cache: Cache, progress: Progress) -> Iterator[Cluster]:
    """A real cluster of one node on this machine, shared by the whole session."""
    if existing.kubeconfig(os.environ):
        pytest.skip(
            f"{existing.VARIABLE} names a cluster of your own, and this test needs the harness's "
            "node on this machine; unset it to run this test"
        )
    try:
        programs = provision.for_node(os.environ, harness_cache, progress)
    except UnavailableError as reason:
        pytest.skip(str(reason))
    settings = ClusterSettings(programs, runs.base(os.environ), harness_cache, progress)
    with interruption.unwinding(), Cluster(settings) as running:
        yield running


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """The shared cluster with our images, and all that the demo's overlay installs."""
    installation.load_images(cluster)
    installation.apply(cluster)
    return cluster


@pytest.fixture(scope="session")
def agent_metrics(installed: Cluster) -> str:
    """Where the agent's metrics can be scraped from here."""
    return installed.publish(AGENT_METRICS)


@pytest.fixture
def scene(installed: Cluster) -> Iterator[Scene]:
    """The installed software on a healthy node, without any policy, before and after the test."""
    yield from played(installed)


def played(installed: Cluster) -> Iterator[Scene]:
    """Yield a scene and leave it as it was found; for fixtures of another scope too."""
    kubectl = installed.settings.binaries / "kubectl"
    scene = Scene(installed, Observer(kubectl, installed.kubeconfig))
    scene.health("a healthy node", is_well)
    try:
        yield scene
    finally:
        scene.clean()
