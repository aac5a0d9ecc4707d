"""Answers that a good API server does not give, and a proxy, or a sick server, does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent.apiserver import ApiServer, RefusedError, UnreachableError

Answering = Callable[..., ApiServer]


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    size = f"Content-Length: {len(body) if length is None else length}"
    head = "\r\n".join((f"HTTP/1.1 {status}", size, *headers, "Connection: close"))
    return head.encode() + b"\r\n\r\n" + body


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """An API server that gives one answer to every request, in the parts in which it is given."""
    (tmp_path / "token").write_text("t0ken")
    with contextlib.ExitStack() as ends:

        def started(*parts: bytes) -> ApiServer:
            listening = ends.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        with connection:
                            connection.recv(65536)
                            for part in parts:
                                connection.sendall(part)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            ends.callback(thread.join, 30)
            ends.callback(listening.shutdown, socket.SHUT_RDWR)
            host, port = listening.getsockname()
            return ApiServer(f"http://{host}:{port}", tmp_path, "node-1")

        yield started


def test_a_server_that_is_busy_says_when_to_come_again(answering: Answering) -> None:
    body = json.dumps({"kind": "Status", "message": "too many requests"}).encode()
    server = answering(answer(body, "429 Too Many Requests", "Retry-After: 7"))

    with pytest.raises(RefusedError, match="429: too many requests") as refused:
        server.apply_status({})

    assert refused.value.retry_after == 7.0


@pytest.mark.parametrize("wish", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-5"])
def test_a_wish_that_makes_no_sense_is_no_wish(answering: Answering, wish: str) -> None:
    server = answering(answer(b"no", "503 Service Unavailable", f"Retry-After: {wish}"))

    with pytest.raises(RefusedError, match="503: no") as refused:
        server.apply_status({})

    assert not refused.value.retry_after


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"garbage\r\n\r\n"],
        [answer(b"{")],
        [answer(b"[]")],
        [answer(b"\xff\xfe")],
        [answer(b'{"metadata": {}}', length=500)],
        [answer(b'{"message": "no"', "500 Oops", length=500)],
    ],
    ids=["nothing", "no HTTP", "torn JSON", "a list", "bytes", "cut off", "cut off refusal"],
)
def test_an_answer_that_makes_no_sense_is_as_good_as_none(
    answering: Answering, parts: list[bytes]
) -> None:
    with pytest.raises(UnreachableError):
        answering(*parts).get()


def test_events_that_come_in_pieces_are_put_together(answering: Answering) -> None:
    events = [{"type": "ADDED", "object": {"n": n}} for n in range(3)]
    text = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    whole = answer(text)
    server = answering(*(whole[at : at + 7] for at in range(0, len(whole), 7)))

    assert list(server.watch(None, 1)) == events


def test_a_watch_that_is_cut_ends_with_what_was_whole(answering: Answering) -> None:
    server = answering(answer(b'{"type": "ADDED"}\n{"ty', length=500))
    heard: list[dict[str, Any]] = []

    with pytest.raises(UnreachableError):
        heard += server.watch("5", 1)

    assert heard in ([], [{"type": "ADDED"}])


def test_a_line_without_end_is_not_collected(answering: Answering) -> None:
    server = answering(answer(b"x" * ((1 << 20) + 65536)))

    with pytest.raises(UnreachableError):
        list(server.watch(None, 1))


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]

    with pytest.raises(UnreachableError, match="refused"):
        ApiServer(f"http://127.0.0.1:{port}", tmp_path, "node-1").get()


def test_without_a_token_nothing_is_asked(answering: Answering, tmp_path: Path) -> None:
    server = answering(answer(b"{}"))
    (tmp_path / "token").unlink()

    with pytest.raises(UnreachableError, match="token"):
        server.get()
