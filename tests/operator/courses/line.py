"""The way to the API server in the model, on which everything may go wrong that can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.call import APPLY_PATCH, Guard
from kernelhealth_operator.cluster.errors import Conflict, Throttled, Unreachable

from .chronicle import Chronicle
from .patches import Body
from .server import Server, Write

_HOW = {
    "killed before": "killed before a write",
    "killed after": "killed after a write",
    "lost": "an answer was lost",
    "failed": "a write failed",
    "twice": "a write was sent twice",
    "late": "killed before a write",
    "meddle": "something came between two writes",
}


class Killed(Exception):  # noqa: N818 - it is no error that the operator is stopped
    """The operator was stopped in the middle."""


@dataclass(frozen=True)
class Trouble:
    """What is to happen at a write.

    *how*: killed before or after it, the answer lost, the write *failed*, sent twice, carried out
    much later, or *meddle* comes in between.
    """

    how: str
    meddle: Callable[[], None] = lambda: None


@dataclass
class Ahead:
    """The trouble that is to come, after so many (*left*) writes; it strikes once."""

    trouble: Trouble | None = None
    left: int = 0

    def strikes(self) -> Trouble | None:
        """What happens at the write that is about to be sent."""
        if self.trouble is None:
            return None
        self.left -= 1
        if self.left >= 0:
            return None
        struck, self.trouble = self.trouble, None
        return struck


@dataclass
class Line:
    """In place of a session; *late* are writes still on their way, *sent* those of one look."""

    server: Server
    chronicle: Chronicle
    ahead: Ahead
    late: list[Write]
    sent: int = 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        content_type: str = "",
        field_manager: str | None = None,
        guard: Guard | None = None,
        **_: object,
    ) -> Any:
        """As ``ApiSession.request``."""
        if method == "GET":
            return self.server.get(path)
        if guard is not None:
            guard()
        write = Write(method, path, body or {}, field_manager or "", content_type == APPLY_PATCH)
        if path.startswith(kinds.EVENTS):
            return {}
        self.sent += 1
        trouble = self.ahead.strikes()
        return self._write(write) if trouble is None else self._badly(write, trouble)

    def _badly(self, write: Write, trouble: Trouble) -> Body:
        self.chronicle.note(_HOW[trouble.how])
        match trouble.how:
            case "killed before":
                raise Killed
            case "failed":
                raise Unreachable(write.path, "nobody answers")
            case "late":
                self.late.append(replace(write, sent=self.server.now))
                raise Killed
            case "meddle":
                trouble.meddle()
                return self._write(write)
        answer = self._write(write)
        match trouble.how:
            case "killed after":
                raise Killed
            case "lost":
                raise Unreachable(write.path, "the answer was lost")
            case "twice" if write.method != "POST":
                return self._write(write)
        return answer

    def _write(self, write: Write) -> Body:
        try:
            return self.server.write(write)
        except Conflict:
            self.chronicle.note("a write was in conflict")
            raise
        except Throttled:
            self.chronicle.note("an eviction was refused")
            raise
