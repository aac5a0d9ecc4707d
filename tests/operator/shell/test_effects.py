"""Evictions and deletions as they are sent, and what becomes of a no."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from kernelhealth_api.procedure import DeletePod, Evict
from kernelhealth_operator.answers import Answers, PolicyTaker
from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.access import Access
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.effects import Effects
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.writes import Writes

POD = Evict("shop", "web-1", "uid-1", 90)


class Anonymous:
    """No credentials."""

    def header(self) -> str | None:
        return None

    async def renew(self) -> bool:
        return False


class Nobody:
    """Takes in no policies, since none is read."""

    def take(self, body: dict[str, Any]) -> None:
        raise AssertionError(body)

    def drop(self, name: str) -> None:
        raise AssertionError(name)


@dataclass
class Server:
    """Answers with *code*; a code of 0 is a connection that is cut."""

    code: int
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request.method, request.path, json.loads(await request.read())))
        if not self.code and request.transport is not None:
            request.transport.close()
        said = {"kind": "Status", "message": "because", "code": self.code}
        return web.json_response(said, status=self.code or 200)


@asynccontextmanager
async def effects(server: Server) -> AsyncIterator[Effects]:
    runner = web.ServerRunner(web.Server(server.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, Anonymous())
        async with ApiSession(access, jitter=lambda: 0.0) as session:
            yield _effects(session, Nobody())
    finally:
        await runner.cleanup()


def _effects(session: ApiSession, policies: PolicyTaker) -> Effects:
    clock = Clock(lambda: datetime.now(UTC), lambda: 0.0)
    listener = Listener(lambda _: None, lambda _: None)
    fleet = Fleet(clock, Hearing(60.0), listener, {})
    return Effects(Writes(session, lambda: 10.0), Answers(session, fleet, policies), fleet)


async def test_an_eviction_is_of_that_pod_and_no_other_of_its_name() -> None:
    server = Server(201)

    async with effects(server) as doing:
        await doing.carry_out("worker-1", POD)

    ((method, path, body),) = server.asked
    assert (method, path) == ("POST", "/api/v1/namespaces/shop/pods/web-1/eviction")
    assert body["apiVersion"] == "policy/v1"
    assert body["deleteOptions"] == {"preconditions": {"uid": "uid-1"}, "gracePeriodSeconds": 90}


@pytest.mark.parametrize("code", [0, 403, 404, 409, 422, 429, 500])
async def test_a_pod_that_may_not_be_evicted_keeps_nobody_else_and_is_asked_once(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(code)

    with caplog.at_level(logging.INFO):
        async with effects(server) as doing:
            await doing.carry_out("worker-1", POD)

    assert len(server.asked) == 1
    assert ("shop/web-1" in caplog.text) == (code not in {404, 409})


async def test_an_eviction_by_whom_nobody_knows_is_an_error() -> None:
    async with effects(Server(401)) as doing:
        with pytest.raises(errors.Unauthorized):
            await doing.carry_out("worker-1", POD)


async def test_a_deletion_is_of_that_pod_and_no_other_of_its_name() -> None:
    server = Server(200)

    async with effects(server) as doing:
        await doing.carry_out("worker-1", DeletePod("shop", "web-1", "uid-1"))

    ((method, path, body),) = server.asked
    assert (method, path) == ("DELETE", "/api/v1/namespaces/shop/pods/web-1")
    assert body["preconditions"] == {"uid": "uid-1"}
    assert "gracePeriodSeconds" not in body
