"""A way to the API server that is shut at a certain write, so that its sender can be killed there.

It speaks plain HTTP on loopback and passes everything on, watches included, under the sender's own
token. Writes are counted; the last one that is let near is either carried out and never answered,
or never arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from kernelhealth_e2e import ports

_READS = frozenset({"GET", "HEAD"})
_PASSING = re.compile(rb'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[^"]*"|"resourceVersion": *"[0-9]*"')
"""What is different each time the same is said: times and versions."""
_PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass(slots=True)
class Gate:
    """Passes requests on to *server*; *counts* says of which paths the writes are counted.

    *sender* is ended at the write that uses up what it was allowed; then *shut* is set.
    """

    server: str
    address: str
    session: aiohttp.ClientSession
    counts: Callable[[str], bool]
    sender: Callable[[], None] = lambda: None
    left: int = 0
    carried_out: bool = True
    shut: asyncio.Event = field(default_factory=asyncio.Event)
    writes: list[str] = field(default_factory=list)

    def allow(self, writes: int, *, carried_out: bool, sender: Callable[[], None]) -> None:
        """Open again for so many writes; *carried_out* is what becomes of the last of them."""
        self.left, self.carried_out, self.sender = writes, carried_out, sender
        self.shut.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        counted = request.method not in _READS and self.counts(request.path)
        said = _PASSING.sub(b"", await request.read())
        content = hashlib.sha256(said).hexdigest()[:8]
        if self.left <= 0:
            return web.Response(status=503)
        last = False
        if counted:
            self.left -= 1
            last = self.left <= 0
            self.writes.append(f"{request.method} {request.path} {content}")
        if last and not self.carried_out:
            return self._end()
        return await self._pass_on(request, last=last)

    def _end(self) -> web.Response:
        self.sender()
        self.shut.set()
        return web.Response(status=503)

    async def _pass_on(self, request: web.Request, *, last: bool) -> web.StreamResponse:
        headers = {key: request.headers[key] for key in _PASSED_ON if key in request.headers}
        url, body = URL(f"{self.server}{request.raw_path}", encoded=True), await request.read()
        sending = self.session.request(
            request.method, url, headers=headers, data=body or None, skip_auto_headers=_PASSED_ON
        )
        async with sending as found:
            if last:
                await found.read()
                return self._end()
            answer = web.StreamResponse(status=found.status)
            answer.content_type = found.content_type
            # Whoever was killed hears nothing any more.
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await answer.prepare(request)
                async for piece in found.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
            return answer


@asynccontextmanager
async def opened(server: str, ca: Path, counts: Callable[[str], bool]) -> AsyncIterator[Gate]:
    """A gate to *server*, whose certificate authority is in *ca*, that listens at ``address``."""
    trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(ca)), limit=0)
    endless = aiohttp.ClientTimeout(total=None)
    session = aiohttp.ClientSession(connector=trust, timeout=endless, auto_decompress=False)
    async with session as way:
        (port,) = ports.free(1)
        gate = Gate(server, f"http://127.0.0.1:{port}", way, counts)
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", gate.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield gate
        finally:
            await runner.cleanup()
