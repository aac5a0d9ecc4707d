"""ApiSession against a server that answers as a script says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.access import Access
from kernelhealth_operator.cluster.call import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, Patience
from kernelhealth_operator.cluster.session import ApiSession


@dataclass
class Script:
    """Answers in order, the last one for ever; remembers what was asked."""

    answers: list[Callable[[], web.StreamResponse]]
    asked: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        return self.answers[min(len(self.asked), len(self.answers)) - 1]()


class Token:
    """Credentials that change with each renewal until *tokens* are used up."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    def header(self) -> str | None:
        return f"Bearer {self._tokens[0]}"

    async def renew(self) -> bool:
        if len(self._tokens) == 1:
            return False
        self._tokens.pop(0)
        return True


def ok() -> web.Response:
    return web.json_response({"kind": "Node"})


def status(
    code: int, message: str = "because", reason: str = "", retry_after: str | None = None
) -> Callable[[], web.Response]:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    said = {"kind": "Status", "message": message, "reason": reason, "code": code}
    return lambda: web.json_response(said, status=code, headers=headers)


@asynccontextmanager
async def served(script: Script, *tokens: str) -> AsyncIterator[ApiSession]:
    runner = web.ServerRunner(web.Server(script.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        access = Access(f"http://127.0.0.1:{runner.addresses[0][1]}", None, Token(*tokens or "t"))
        async with ApiSession(access, jitter=lambda: 0.0) as session:
            yield session
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.Rejected),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.Gone),
        (422, errors.Rejected),
        (429, errors.Throttled),
        (500, errors.ServerFailed),
        (503, errors.ServerFailed),
    ],
)
async def test_each_refusal_has_its_own_error_with_the_servers_words(
    code: int, kind: type[errors.ApiError]
) -> None:
    script = Script([status(code, "nodes is full", "Because", retry_after="99")])

    async with served(script) as session:
        with pytest.raises(kind) as caught:
            await session.request("PUT", "/api/v1/nodes/n1")

    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"PUT /api/v1/nodes/n1 failed with {code}: nodes is full.")
    assert (caught.value.status, caught.value.reason) == (code, "Because")
    assert caught.value.retry_after == 99.0


async def test_throttling_and_server_errors_are_tried_again_until_it_works() -> None:
    script = Script([status(429, retry_after="0"), status(503), status(500), ok])

    async with served(script) as session:
        answer = await session.request("GET", "/x")

    assert answer == {"kind": "Node"}
    assert len(script.asked) == 4


async def test_patience_ends() -> None:
    script = Script([status(503, "etcd has no leader")])

    async with served(script) as session:
        with pytest.raises(errors.ServerFailed, match="etcd has no leader"):
            await session.request("GET", "/x", patience=Patience(attempts=3))

    assert len(script.asked) == 3


@pytest.mark.parametrize(("method", "content_type"), [("POST", "a/b"), ("PATCH", JSON_PATCH)])
async def test_what_must_not_happen_twice_is_sent_once_when_the_server_fails(
    method: str, content_type: str
) -> None:
    script = Script([status(500), ok])

    async with served(script) as session:
        with pytest.raises(errors.ServerFailed):
            await session.request(method, "/x", body={}, content_type=content_type)

    assert len(script.asked) == 1


async def test_an_eviction_that_a_budget_forbids_is_not_insisted_on() -> None:
    script = Script([status(429, "Cannot evict pod", retry_after="10")])

    async with served(script) as session:
        with pytest.raises(errors.Throttled, match="Cannot evict pod") as caught:
            await session.request("POST", "/x", body={}, patience=Patience(attempts=1))

    assert caught.value.retry_after == 10.0
    assert len(script.asked) == 1


async def test_a_wait_longer_than_patience_is_handed_to_the_caller() -> None:
    script = Script([status(429, retry_after="3600"), ok])

    async with served(script) as session:
        with pytest.raises(errors.Throttled):
            await session.request("GET", "/x")

    assert len(script.asked) == 1


async def test_a_refused_token_is_read_again_at_once() -> None:
    script = Script([status(401), ok])

    async with served(script, "old", "new") as session:
        await session.request("POST", "/x", body={"a": 1})

    assert [asked.headers["Authorization"] for asked in script.asked] == [
        "Bearer old",
        "Bearer new",
    ]
    assert script.bodies == [b'{"a": 1}', b'{"a": 1}']


async def test_a_token_that_stays_refused_is_not_sent_over_and_over() -> None:
    script = Script([status(401)])

    async with served(script, "old", "new") as session:
        with pytest.raises(errors.Unauthorized, match="it may have expired"):
            await session.request("GET", "/x")

    assert len(script.asked) == 2


async def test_server_side_apply_names_its_field_manager_and_forces() -> None:
    script = Script([ok])

    async with served(script) as session:
        await session.request(
            "PATCH",
            "/x",
            body={"spec": {}},
            params={"dryRun": "All"},
            content_type=APPLY_PATCH,
            field_manager="kernelhealth-operator",
            force=True,
        )

    asked = script.asked[0]
    assert dict(asked.rel_url.query) == {
        "dryRun": "All",
        "fieldManager": "kernelhealth-operator",
        "force": "true",
    }
    assert asked.content_type == APPLY_PATCH


async def test_the_guard_is_asked_before_every_sending_and_can_forbid_the_next() -> None:
    script = Script([status(503)])
    left = [5.0, 5.0]

    def guard() -> float:
        if not left:
            raise errors.NotLeader("the lease is another's")
        return left.pop()

    async with served(script) as session:
        with pytest.raises(errors.NotLeader):
            await session.request("PATCH", "/x", body={}, content_type=MERGE_PATCH, guard=guard)

    assert len(script.asked) == 2


async def test_the_guard_is_asked_again_before_a_second_token_is_tried() -> None:
    script = Script([status(401), ok])
    left = [5.0]

    def guard() -> float:
        if not left:
            raise errors.NotLeader("the lease is another's")
        return left.pop()

    async with served(script, "old", "new") as session:
        with pytest.raises(errors.NotLeader):
            await session.request("DELETE", "/x", guard=guard)

    assert len(script.asked) == 1


async def test_a_write_may_take_no_longer_than_its_guard_allows() -> None:
    hold = asyncio.Event()

    class Held(web.Response):
        async def prepare(self, request: web.BaseRequest):  # type: ignore[no-untyped-def] # noqa: ANN202
            await hold.wait()
            return await super().prepare(request)

    async with served(Script([Held])) as session:
        with pytest.raises(errors.Unreachable):
            await session.request(
                "PATCH", "/x", body={}, guard=lambda: 0.05, patience=Patience(attempts=1)
            )
        hold.set()


async def test_nobody_there_is_said_so() -> None:
    script = Script([ok])
    async with served(script) as session:
        await session.request("GET", "/x")
    gone = session._access

    async with ApiSession(gone, jitter=lambda: 0.0) as session:
        with pytest.raises(errors.Unreachable, match=r"GET /x failed: no whole answer came"):
            await session.request("GET", "/x")


async def test_an_error_page_of_a_proxy_is_quoted() -> None:
    script = Script([lambda: web.Response(status=502, text="<html>Bad Gateway</html>")])

    async with served(script) as session:
        with pytest.raises(errors.ServerFailed, match="<html>Bad Gateway</html>"):
            await session.request("GET", "/x")


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    elsewhere = Script([ok])
    async with served(elsewhere) as other:
        target = other._access.server
        redirect = Script([lambda: web.Response(status=307, headers={"Location": target})])
        async with served(redirect) as session:
            with pytest.raises(errors.Rejected):
                await session.request("GET", "/x")

    assert elsewhere.asked == []


async def test_an_answer_that_is_no_json_is_an_error_of_the_server() -> None:
    script = Script([lambda: web.Response(text="<html>login</html>")])

    async with served(script) as session:
        with pytest.raises(errors.ServerFailed, match="login"):
            await session.request("GET", "/x")


def test_a_status_object_with_odd_types_is_still_an_error() -> None:
    body = json.dumps({"kind": "Status", "message": None, "reason": 7}).encode()

    error = errors.from_answer("GET /x", 500, body, "soon")

    assert (error.reason, error.retry_after) == ("7", None)
