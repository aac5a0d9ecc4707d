"""An API server with the custom resources, a stage on it, and the operator's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.operators import Operator, operator
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster import access
from kernelhealth_operator.cluster.session import ApiSession

DEFINITIONS = Path(__file__).parents[3] / "crds"


@pytest.fixture(scope="session")
def plane(
    control_plane_binaries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("operator-plane")
    with ControlPlane(Settings(control_plane_binaries, directory)) as running:
        for definition in sorted(DEFINITIONS.glob("*.yaml")):
            running.kubectl("apply", "--server-side", "-f", str(definition))
        running.kubectl("wait", "crd", "--all", "--for=condition=Established")
        yield running


@pytest_asyncio.fixture
async def stage(plane: ControlPlane) -> AsyncIterator[Stage]:
    async with ApiSession(await access.from_kubeconfig(plane.kubeconfig)) as session:
        stage = Stage(session)
        await stage.clear()
        yield stage
        await stage.clear()


@pytest.fixture
def running(plane: ControlPlane, stage: Stage, tmp_path: Path) -> Iterator[Operator]:  # noqa: ARG001
    with operator(plane.kubeconfig, tmp_path) as process:
        yield process
