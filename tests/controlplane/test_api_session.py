"""ApiSession against a real API server: tokens that rotate and die, refusals, field ownership."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_operator.cluster import access, errors, views
from kernelhealth_operator.cluster.call import APPLY_PATCH, MERGE_PATCH
from kernelhealth_operator.cluster.kinds import WatchSettings
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch

DEADLINE = 60.0
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
MAPS = "/api/v1/namespaces/default/configmaps"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass
class Pod:
    """What the kubelet gives to a pod, for service accounts of one test's own."""

    admin: ApiSession
    control_plane: ControlPlane
    directory: Path
    label: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")

    async def account(self, name: str) -> str:
        """A new service account's token."""
        metadata = {"name": f"{name}-{self.label}", "labels": {"test": self.label}}
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        await self.admin.request("POST", ACCOUNTS, body=body)
        answer = await self.admin.request(
            "POST", f"{ACCOUNTS}/{name}-{self.label}/token", body={"spec": {}}
        )
        return str(answer["status"]["token"])

    def mount(self, token: str) -> None:
        """Puts the token in place at once, as a projected volume does."""
        (self.directory / "new").write_text(token)
        (self.directory / "new").rename(self.directory / "token")
        (self.directory / "ca.crt").write_bytes(self.control_plane.ca.read_bytes())

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ApiSession]:
        server = urlsplit(self.control_plane.server)
        environ = {
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        entry = access.from_service_account(environ, self.directory)
        async with ApiSession(entry, jitter=lambda: 0.0) as session:
            yield session


@pytest_asyncio.fixture
async def pod(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Pod]:
    async with ApiSession(await access.from_kubeconfig(control_plane.kubeconfig)) as admin:
        made = Pod(admin, control_plane, tmp_path)
        yield made
        ours = {"labelSelector": f"test={made.label}"}
        for path in (ACCOUNTS, MAPS):
            await admin.request("DELETE", path, params=ours)


async def _who(session: ApiSession) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await session.request("POST", REVIEW, body=body)
    return str(answer["status"]["userInfo"]["username"]).rsplit(":", 1)[-1].split("-")[0]


async def test_a_rotated_token_is_used_without_a_new_session(pod: Pod) -> None:
    first, second = await pod.account("before"), await pod.account("after")
    pod.mount(first)

    async with pod.session() as session:
        before = await _who(session)
        pod.mount(second)
        after = await _who(session)

    assert (before, after) == ("before", "after")


async def test_a_token_that_the_server_does_not_know_is_unauthorized(pod: Pod) -> None:
    pod.mount("nonsense")

    async with pod.session() as session:
        with pytest.raises(errors.Unauthorized, match=r"^POST \S+ failed with 401: Unauthorized"):
            await _who(session)


async def test_a_watch_that_lost_its_right_to_ask_goes_on_when_the_token_is_good_again(
    pod: Pod,
) -> None:
    good = pod.control_plane.token
    pod.mount("nonsense")

    async with pod.session() as session:
        kind = views.nodes((), {"labelSelector": f"test={pod.label}"})
        refused = asyncio.Event()

        def jitter() -> float:
            refused.set()  # Asked for when a wait begins: the first answer was a refusal.
            return 0.01

        watch = NarrowWatch(session, kind, WatchSettings(), jitter=jitter)
        reading = asyncio.ensure_future(anext(watch.changes(), None))
        async with asyncio.timeout(DEADLINE):
            await refused.wait()
            synced_too_early = watch.synced.is_set()
            pod.mount(good)
            await watch.synced.wait()
        reading.cancel()
        await asyncio.wait({reading})

    assert not synced_too_early
    assert watch.counters.failures >= 1


async def test_a_right_that_is_missing_is_named_with_what_to_do(pod: Pod) -> None:
    pod.mount(await pod.account("nobody"))

    async with pod.session() as session:
        with pytest.raises(errors.Forbidden) as caught:
            await session.request("GET", "/api/v1/nodes")

    assert 'cannot list resource "nodes"' in str(caught.value)
    assert "Grant the right to the operator's service account" in str(caught.value)


async def test_a_stale_resource_version_is_a_conflict(pod: Pod) -> None:
    metadata = {"name": f"map-{pod.label}", "labels": {"test": pod.label}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    made = await pod.admin.request("POST", MAPS, body=body)
    patch = {
        "metadata": {"resourceVersion": made["metadata"]["resourceVersion"]},
        "data": {"a": "1"},
    }
    path = f"{MAPS}/map-{pod.label}"
    await pod.admin.request("PATCH", path, body=patch, content_type=MERGE_PATCH)

    with pytest.raises(errors.Conflict):
        await pod.admin.request("PATCH", path, body=patch, content_type=MERGE_PATCH)


async def test_two_field_managers_conflict_until_one_forces(pod: Pod) -> None:
    name = f"map-{pod.label}"

    async def apply(manager: str, value: str, *, force: bool = False) -> dict[str, object]:
        metadata = {"name": name, "labels": {"test": pod.label}}
        return await pod.admin.request(
            "PATCH",
            f"{MAPS}/{name}",
            body={
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata,
                "data": {"a": value},
            },
            content_type=APPLY_PATCH,
            field_manager=manager,
            force=force,
        )

    await apply("agent", "1")

    with pytest.raises(errors.Conflict, match="agent"):
        await apply("operator", "2")
    assert (await apply("operator", "2", force=True))["data"] == {"a": "2"}


async def test_an_object_that_breaks_the_schema_is_rejected_with_the_field(pod: Pod) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}}

    with pytest.raises(errors.Rejected, match=r"metadata\.name") as caught:
        await pod.admin.request("POST", MAPS, body=body)

    assert caught.value.status == 422


async def test_what_is_not_there_is_not_found(pod: Pod) -> None:
    with pytest.raises(errors.NotFound):
        await pod.admin.read(f"{MAPS}/absent-{pod.label}")
