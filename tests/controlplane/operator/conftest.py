"""An API server with the custom resources, a stage on it, and the operator's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from kernelhealth_e2e import kubeconfig, rights
from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.operators import Operator, operator
from kernelhealth_e2e.stage import Stage
from kernelhealth_operator.cluster import access
from kernelhealth_operator.cluster.session import ApiSession

TREE = Path(__file__).parents[3]
DEFINITIONS = TREE / "crds"
ROLES = TREE / "manifests" / "base" / "operator-role.yaml"
NAMESPACE = "kernelhealth-system"
NAME = "kernelhealth-operator"
RIGHTS = (
    ("watch", "kernelhealthpolicies"),
    ("create", "leases", f"--namespace={NAMESPACE}"),
    ("create", "events.events.k8s.io", "--namespace=default"),
)
"""One of each role; the first is one that a test takes away."""


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


@pytest.fixture
def account(plane: ControlPlane, tmp_path: Path) -> Path:
    """A kubeconfig of the operator's own service account, bound to the shipped roles."""
    bound = f"--serviceaccount={NAMESPACE}:{NAME}"
    _apply(plane, "namespace", NAMESPACE)
    _apply(plane, "serviceaccount", NAME, "-n", NAMESPACE)
    _apply(plane, "clusterrolebinding", NAME, f"--clusterrole={NAME}", bound)
    plane.kubectl("apply", "-f", str(ROLES))
    for namespace, role in ((NAMESPACE, f"{NAME}-lease"), ("default", f"{NAME}-events")):
        _apply(plane, "rolebinding", NAME, "-n", namespace, f"--role={role}", bound)
    for right in RIGHTS:
        rights.known(plane, f"system:serviceaccount:{NAMESPACE}:{NAME}", *right)
    token = plane.kubectl("create", "token", NAME, "-n", NAMESPACE).strip()
    path = tmp_path / "account.kubeconfig"
    return kubeconfig.write(path, server=plane.server, ca=plane.ca, token=token)


def _apply(plane: ControlPlane, *words: str) -> None:
    manifest = plane.kubectl("create", *words, "--dry-run=client", "-o", "yaml")
    plane.kubectl("apply", "-f", "-", stdin=manifest)
