"""What the API server, or the way to it, can answer instead of a result.

ApiError
├── Unauthorized   401  the token is missing, wrong or expired
├── Forbidden      403  the service account lacks a right
├── NotFound       404
├── Conflict       409  someone wrote in between, or the object exists already
├── Gone           410  the resourceVersion or continue token is too old: list again
├── Rejected       400, 422, every other 4xx, and redirects: what was sent is wrong
├── Throttled      429  come back after ``retry_after`` seconds; an eviction: a budget is in the way
├── ServerFailed   5xx
├── Unreachable    no answer: refused, cut, timed out, TLS
└── Unreadable     an object that does not fit the schema as this version knows it
AccessUnusable     the kubeconfig or the service account's files cannot be used
HistoryLost        the cluster went back to an earlier state: etcd was restored from a backup
NotLeader          a write was about to be sent by a replica that does not lead
StreamBroken       a watch sent what is no watch event
"""

# ruff: noqa: N818  # Named after what happened, so that an except clause reads as a sentence.
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """A request that had no result.

    *call* is the method with the path, *status* the HTTP status (0 when there was no answer),
    *reason* the API server's one word, *retry_after* the seconds it asked to wait, if it did.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        call: str,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.call = call
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        answered = f" with {status}" if status else ""
        advice = f" {self.advice}" if self.advice else ""
        super().__init__(f"{call} failed{answered}: {message.rstrip('.')}.{advice}")


class Unauthorized(ApiError):
    """The API server does not know who is asking."""

    advice = "Check the token of the service account or kubeconfig: it may have expired."


class Forbidden(ApiError):
    """The API server knows who is asking, and refuses."""

    advice = "Grant the right to the operator's service account, or apply the shipped manifests."


class NotFound(ApiError):
    """The object, or its whole kind, is not there."""


class Conflict(ApiError):
    """The object changed since it was read, or exists already."""


class Gone(ApiError):
    """The history that was asked for is compacted; only a new list helps."""


class Rejected(ApiError):
    """What was sent is wrong, whoever sends it and how often."""


class Throttled(ApiError):
    """The API server asks to come back later; for an eviction, a PodDisruptionBudget does."""


class ServerFailed(ApiError):
    """The API server, or what stands in front of it, failed."""


class Unreachable(ApiError):
    """There was no answer; whether a write took effect is not known."""

    advice = "Check the network to the API server and its certificate."


class Unreadable(ApiError):
    """An object is there, but this version cannot read it: nothing may be concluded from it."""

    advice = "Was it written by a newer version? Run only one version of the operator."


class HistoryLost(Exception):
    """The cluster is younger than what was seen of it; what is held can no longer be compared."""


class AccessUnusable(Exception):
    """The kubeconfig or the service account's files cannot be used."""


class NotLeader(Exception):
    """A write was about to be sent by a replica whose lease may be another's by now."""


class StreamBroken(Exception):
    """A watch sent what is no watch event; it is resumed on a new connection."""


_KINDS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    429: Throttled,
}


def from_status(
    call: str, status: int, message: str, reason: str = "", retry_after: float | None = None
) -> ApiError:
    """The error that stands for an HTTP *status* of 300 and above."""
    kind = _KINDS.get(status, Rejected if status < 500 else ServerFailed)
    return kind(call, message, status=status, reason=reason, retry_after=retry_after)


def from_answer(call: str, status: int, body: bytes, retry_after: str | None) -> ApiError:
    """The error that stands for an answer; *body* is a metav1.Status, or a proxy's page."""
    said = _status_object(body)
    message = said.get("message") or body[:200].decode("utf-8", "replace").strip() or "no reason"
    reason = said.get("reason") or ""
    return from_status(call, status, str(message), str(reason), _seconds(retry_after))


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _seconds(text: str | None) -> float | None:
    # RFC 9110 allows a date too; Kubernetes sends seconds only.
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def version(text: str) -> int:
    """A resourceVersion as a number, 0 where the server gives none."""
    return int(text) if text.isdecimal() else 0


def expect_history(call: str, listed: str, seen: int) -> None:
    """Raises HistoryLost if a list is true for a time (*listed*) before what was *seen* already.

    A list without a resourceVersion is never older than what any API server has told before:
    Kubernetes API concepts, "Semantics for get and list", unset is "most recent".
    """
    if 0 < version(listed) < seen:
        raise HistoryLost(
            f"{call} is at resourceVersion {listed}, but {seen} was seen before: the cluster was "
            "restored from a backup, and what is known of it must be forgotten."
        )
