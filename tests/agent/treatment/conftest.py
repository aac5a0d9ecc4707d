"""A surgeon at work, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.hands import Hands
from kernelhealth_agent.surgeon import Surgeon
from kernelhealth_api.v1alpha1.request import HostRequest, RequestStatus
from kernelhealth_e2e.treatment.ward import Ward

PATIENCE = 60.0


class Clinic:
    """An agent's surgeon, what the operator asks it for, and what it has answered so far."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.said: list[RequestStatus] = []
        self.looked_again = 0
        self._changed = threading.Condition()
        self._surgeon: Surgeon | None = None

    def open(self, hands: Hands | None = None, **parts: Any) -> None:
        """Start an agent, anew if there was one."""
        self.close()
        self._surgeon = Surgeon(self.ward.practice(hands, **parts), self._hear)
        self._surgeon.start(self._look_again)

    def close(self) -> None:
        if self._surgeon is not None:
            self._surgeon.close(PATIENCE)
            self._surgeon = None

    def finds(self, *confirmed: Seen) -> None:
        assert self._surgeon is not None
        self._surgeon.hear(_Outcome(confirmed), "period")  # type: ignore[arg-type]

    def asks(self, request: HostRequest | dict[str, Any] | None) -> None:
        """Let the operator want this of the node, as it comes over the wire."""
        assert self._surgeon is not None
        if isinstance(request, HostRequest):
            request = request.model_dump(mode="json", by_alias=True, exclude_none=True)
        self._surgeon.adopt({} if request is None else {"request": request})

    def until(self, true: Callable[[RequestStatus], bool]) -> RequestStatus:
        """Wait for such an answer and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(true, self.said)), PATIENCE), self.said
            return next(filter(true, self.said))

    def answer(self, request_id: str) -> RequestStatus:
        """Wait for the final answer to a request."""
        return self.until(lambda said: said.id == request_id and said.state.final)

    def _hear(self, answer: RequestStatus) -> None:
        with self._changed:
            self.said.append(answer)
            self._changed.notify_all()

    def _look_again(self) -> None:
        with self._changed:
            self.looked_again += 1
            self._changed.notify_all()


class _Outcome:
    """As much of a round's outcome as a surgeon listens to."""

    def __init__(self, confirmed: tuple[Seen, ...]) -> None:
        self.confirmed = confirmed


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


@pytest.fixture
def clinic(ward: Ward) -> Iterator[Clinic]:
    made = Clinic(ward)
    yield made
    made.close()
