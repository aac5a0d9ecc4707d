"""The way to the API server that kubectl itself would take, and who one is there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelhealth_kubectl import complaints
from kernelhealth_operator.cluster import access, errors
from kernelhealth_operator.cluster.session import ApiSession

_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which kubeconfig (several with the system's separator between) and which context of it."""

    kubeconfig: str | None = None
    context: str | None = None

    def path(self, environ: Mapping[str, str], home: Path) -> Path:
        """Return where the kubeconfig is, as kubectl looks for it."""
        named = self.kubeconfig or environ.get("KUBECONFIG")
        return Path(named) if named else home / ".kube" / "config"

    def flags(self) -> tuple[str, ...]:
        """Return the same choice as kubectl's own flags."""
        given = (("--kubeconfig", self.kubeconfig), ("--context", self.context))
        return tuple(f"{flag}={value}" for flag, value in given if value)


@asynccontextmanager
async def connected(
    choice: Choice, environ: Mapping[str, str], home: Path
) -> AsyncIterator[ApiSession]:
    """Give a session with the API server; whatever goes wrong becomes a ``ComplaintError``."""
    server = "of the kubeconfig"
    try:
        path = _found(choice.path(environ, home))
        way = await access.from_kubeconfig(path, choice.context)
        server = way.server
        async with ApiSession(way, user_agent="kubectl-kernelhealth") as session:
            yield session
    except (errors.ApiError, errors.AccessUnusable) as error:
        raise complaints.about(error, server) from error


def _found(path: Path) -> Path:
    """Return *path*, which may name several; raises ``AccessUnusable`` if none is there."""
    if not any(Path(each).is_file() for each in str(path).split(os.pathsep)):
        raise errors.AccessUnusable(f"There is no kubeconfig {path}")
    return path


async def user(session: ApiSession) -> str:
    """Return the name under which the API server knows whoever asks."""
    body: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
    }
    answer = await session.request("POST", _REVIEWS, body=body)
    return str(answer["status"]["userInfo"]["username"])
