"""One authenticated way to the API server: requests with bounded retries, and streams."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from kernelhealth_operator.cluster import errors
from kernelhealth_operator.cluster.access import Access
from kernelhealth_operator.cluster.backoff import Jitter
from kernelhealth_operator.cluster.call import JSON, Call, Guard, Json, Patience


class ApiSession:
    """Requests to one API server; an async context manager that owns its connections.

    The TLS authorities are read once: when a cluster changes them, nothing is heard any more,
    the liveness says so, and the restarted operator reads the new ones.
    """

    def __init__(
        self, access: Access, *, user_agent: str = "kernelhealth", jitter: Jitter = random.random
    ) -> None:
        self._access = access
        self._jitter = jitter
        self._user_agent = user_agent
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._access.tls or True)
        self._http = aiohttp.ClientSession(
            connector=connector, headers={"User-Agent": self._user_agent, "Accept": JSON}
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def request(  # noqa: PLR0913 - the API's own parameters, all by name
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | list[Any] | None = None,
        content_type: str = JSON,
        field_manager: str | None = None,
        force: bool = False,
        guard: Guard | None = None,
        patience: Patience | None = None,
    ) -> Json:
        """The parsed answer; raises ApiError, and whatever *guard* raises.

        429 is tried again after Retry-After, 5xx and lost connections with full-jitter backoff
        where repeating does no harm: never for JSON patches, and for POST only when the
        connection was refused or the server said 429.
        """
        query = dict(params or {})
        if field_manager is not None:
            query["fieldManager"] = field_manager
        if force:
            query["force"] = "true"
        data = None if body is None else json.dumps(body).encode()
        call = Call(method, path, query, data, content_type, guard)
        return _parsed(call, await self._patiently(call, patience or Patience()))

    async def read(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        patience: Patience | None = None,
    ) -> bytes:
        """The bytes that a GET gives, unparsed; raises ApiError."""
        call = Call("GET", path, params or {}, None, JSON)
        return await self._patiently(call, patience or Patience())

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], *, silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an answer that has no end, as they arrive; raises ApiError.

        *silence* is how many seconds may pass without a byte; there is no limit in total.
        """
        call = Call("GET", path, params, None, JSON)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=silence)
        async with self._answer(call, limits) as response:
            yield _pieces(response.content, silence)

    async def _patiently(self, call: Call, patience: Patience) -> bytes:
        attempt = 1
        while True:
            try:
                return await self._once(call, patience)
            except errors.ApiError as error:
                wait = self._wait(call, error, attempt, patience)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    def _wait(
        self, call: Call, error: errors.ApiError, attempt: int, patience: Patience
    ) -> float | None:
        """Seconds until the next try, None when there is none."""
        refused = isinstance(error.__cause__, aiohttp.ClientConnectorError)
        harmless = isinstance(error, errors.Throttled) or refused
        lost = isinstance(error, errors.ServerFailed | errors.Unreachable) and call.repeatable
        asked = error.retry_after or 0.0
        if not (harmless or lost) or attempt >= patience.attempts or asked > patience.longest_wait:
            return None
        return asked + patience.backoff.delay(attempt, self._jitter)

    async def _once(self, call: Call, patience: Patience) -> bytes:
        total = patience.timeout
        if call.guard is not None:
            total = min(total, call.guard())
        limits = aiohttp.ClientTimeout(total=total, sock_connect=10.0)
        async with self._answer(call, limits) as response:
            return await response.read()

    @asynccontextmanager
    async def _answer(
        self, call: Call, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one sending, and to a second one when the first token was refused."""
        try:
            response = await self._send(call, limits)
            if response.status == 401 and await self._access.credentials.renew():
                response.release()
                if call.guard is not None:
                    call.guard()
                response = await self._send(call, limits)
            async with response:
                if response.status >= 300:
                    body, after = await response.read(), response.headers.get("Retry-After")
                    raise errors.from_answer(str(call), response.status, body, after)
                yield response
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise errors.Unreachable(str(call), f"no whole answer came: {what}") from error

    async def _send(self, call: Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        if self._http is None:
            raise RuntimeError("ApiSession is used outside of its 'async with' block.")
        header = self._access.credentials.header()
        headers = {"Content-Type": call.content_type}
        if header is not None:
            headers["Authorization"] = header
        return await self._http.request(
            call.method,
            self._access.server + call.path,
            params=call.params,
            data=call.body,
            headers=headers,
            timeout=limits,
            allow_redirects=False,  # A token goes to the API server and nowhere else.
            server_hostname=self._access.server_name,
            proxy=self._access.proxy,
        )


async def _pieces(content: aiohttp.StreamReader, silence: float) -> AsyncIterator[bytes]:
    # The connection's own sock_read is not enough: aiohttp 3.14 with its C parser drops that timer
    # after a broken chunk header and leaves the reader waiting on a closed connection for ever.
    while True:
        async with asyncio.timeout(silence):
            piece = await content.readany()
        if not piece:
            return
        yield piece


def _parsed(call: Call, body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        # A proxy's login page, say: whatever answered is not the API server.
        raise errors.ServerFailed(str(call), f"the answer is no JSON object but {body[:80]!r}")
    return answer
