"""Lines out of a stream of byte pieces."""

from __future__ import annotations

from kernelhealth_operator.cluster.errors import StreamBroken

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes. etcd refuses requests over 1.5 MiB by default; their JSON is a few times that at most."""


class Lines:
    """Cuts pieces into lines; each byte is looked at once, however small the pieces are."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._begun: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that *piece* completes, without their ends and without empty ones.

        Raises StreamBroken when a line passes the limit: nothing in it can be an event.
        """
        *ended, rest = piece.split(b"\n")
        lines = []
        for end in ended:
            self._begun.append(end)
            lines.append(b"".join(self._begun))
            self._begun.clear()
            self._size = 0
        if rest:
            self._begun.append(rest)
            self._size += len(rest)
        if self._size > self._longest:
            raise StreamBroken(f"A line of a watch passed {self._longest} bytes without an end.")
        return [line for line in lines if line]
