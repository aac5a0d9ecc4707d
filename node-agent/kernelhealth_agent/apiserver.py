"""The agent's way to the API server: one object, three verbs, and little memory.

The official client costs more memory than the whole agent may take, hence urllib3.
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from kernelhealth_api.v1alpha1 import API_VERSION
from kernelhealth_api.v1alpha1.nodekernelhealth import AGENT

_CONNECT, _READ = 5.0, 15.0
_LONGEST_LINE = 1 << 20
_LONGEST_SENTENCE = 300


class UnreachableError(Exception):
    """The API server did not answer; the message says how it went."""


class RefusedError(Exception):
    """The API server answered with no; *retry_after* seconds is what it asked for, if it did."""

    def __init__(self, status: int, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.retry_after = retry_after


class ApiServer:
    """Requests about one NodeKernelHealth object; may be used from several threads.

    *account* is a directory with ``token``, read anew for each request since bound tokens are
    replaced hourly, and ``ca.crt``.
    """

    def __init__(self, url: str, account: Path, name: str) -> None:
        self._url = url.rstrip("/")
        self._account = account
        self._objects = f"/apis/{API_VERSION}/nodekernelhealths"
        self._name = name
        self._pool: urllib3.PoolManager | None = None

    def get(self) -> dict[str, Any]:
        """Return the object."""
        with self._asked("GET", self._object()) as response:
            return _parsed(response)

    def apply_status(self, status: Mapping[str, Any]) -> None:
        """Apply the status by server-side apply, taking fields back from whoever has them."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "NodeKernelHealth",
            "metadata": {"name": self._name},
            "status": status,
        }
        path = f"{self._object()}/status?{urlencode({'fieldManager': AGENT, 'force': 'true'})}"
        with self._asked("PATCH", path, json.dumps(body).encode()):
            return

    def watch(self, version: str | None, seconds: int) -> Iterator[dict[str, Any]]:
        """Yield the changes of the object for about *seconds*, from a version of it on.

        Without a version it starts with the object as it is, as soon as there is one: version 0
        is whatever the server has at hand, since not every etcd can tell it the newest.
        """
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={self._name}",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "resourceVersion": version or "0",
        }
        path = f"{self._objects}?{urlencode(query)}"
        with self._asked("GET", path, read=seconds + _READ) as response, _spoken():
            for line in _lines(response):
                yield _object(line)

    def _object(self) -> str:
        return f"{self._objects}/{quote(self._name, safe='')}"

    @contextlib.contextmanager
    def _asked(
        self, method: str, path: str, body: bytes | None = None, read: float = _READ
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request and give the answer, if it is a good one."""
        with _spoken(self._forget):
            response = self._connections().request(
                method,
                self._url + path,
                body=body,
                headers=self._headers(body),
                timeout=urllib3.Timeout(connect=_CONNECT, read=read),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        try:
            if response.status >= 300:
                with _spoken(self._forget):
                    raise _refusal(response)
            yield response
        finally:
            # What was not read to its end cannot be used for another request.
            response.close()
            response.release_conn()

    def _headers(self, body: bytes | None) -> dict[str, str]:
        try:
            token = (self._account / "token").read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise UnreachableError(f"the service account's token: {error}") from error
        headers = {"Authorization": f"Bearer {token}", "User-Agent": AGENT}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        return headers

    def _connections(self) -> urllib3.PoolManager:
        pool = self._pool
        if pool is None:
            context = self._trusted() if self._url.startswith("https:") else None
            pool = self._pool = urllib3.PoolManager(maxsize=2, ssl_context=context)
        return pool

    def _trusted(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        except OSError as error:
            raise UnreachableError(f"the service account's ca.crt: {error}") from error

    def _forget(self) -> None:
        """Start with new connections, and certificates read anew, the next time."""
        self._pool = None


@contextlib.contextmanager
def _spoken(failed: Any = None) -> Iterator[None]:
    """Turn what goes wrong with a connection into one error with a sentence."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if failed is not None:
            failed()
        raise UnreachableError(f"{type(error).__name__}: {error}"[:_LONGEST_SENTENCE]) from error


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for part in response.stream(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line for line in whole if line.strip())
        if len(rest) > _LONGEST_LINE:
            raise UnreachableError(f"a line of a watch was longer than {_LONGEST_LINE} bytes")


def _parsed(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    with _spoken():
        return _object(response.read(_LONGEST_LINE))


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise UnreachableError(f"an answer was no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnreachableError("an answer was no object")
    return found


def _refusal(response: urllib3.BaseHTTPResponse) -> RefusedError:
    content = response.read(65536)
    try:
        sentence = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        sentence = content.decode(errors="replace").strip() or "no reason was given"
    try:
        retry_after = max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        retry_after = None
    return RefusedError(response.status, sentence[:_LONGEST_SENTENCE], retry_after)
