from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kernelhealth_e2e.scraping import Samples, scrape

TEXT = b'# TYPE kernelhealth_findings gauge\nkernelhealth_findings{reason="a b"} 2.0\n'
ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT


def scraped(serve: Callable[[socket.socket], None]) -> Samples:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(60)
        host, port = server.getsockname()
        served = pool.submit(serve, server)
        samples = scrape(f"{host}:{port}")
        served.result()
    return samples


def answer(server: socket.socket, text: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(text)


def test_each_series_is_named_with_its_labels() -> None:
    samples = scraped(lambda server: answer(server, ANSWER))

    assert samples == {'kernelhealth_findings{reason="a b"}': 2.0}


def test_one_who_does_not_answer_or_breaks_off_is_asked_again() -> None:
    def serve(server: socket.socket) -> None:
        for text in (b"", ANSWER[:-5], ANSWER):
            answer(server, text)

    samples = scraped(serve)

    assert samples == {'kernelhealth_findings{reason="a b"}': 2.0}
