"""A request: what the operator wants done on a host, and what its agent made of it.

The agent does each id at most once, for one boot, and before a deadline. What it is to be done to
is never in the request: the agent takes that from what it has found and confirmed itself.
"""

from __future__ import annotations

import enum

from pydantic import Field

from kernelhealth_api.v1alpha1.resource import Resource, Timestamp


class RequestState(enum.StrEnum):
    """How far the agent has come with a request; the last three are final."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    REFUSED = "Refused"

    @property
    def final(self) -> bool:
        """Whether nothing follows this state."""
        return self in {RequestState.SUCCEEDED, RequestState.FAILED, RequestState.REFUSED}


class RebootMethod(enum.StrEnum):
    """How a host is rebooted."""

    CLEAN = "Clean"
    """Its service manager stops everything first."""
    FORCED = "Forced"
    """The kernel reboots at once, after an attempt to write what is in memory to the disks."""


class Fixing(Resource):
    """One entry of the closed catalogue of cures, done to every finding that names it."""

    fix: str = Field(description="Name of the cure.", pattern="^[A-Z][A-Za-z0-9]*$", max_length=64)
    reasons: tuple[str, ...] = Field(
        description="Only findings of these reasons.", min_length=1, max_length=32
    )


class Rebooting(Resource):
    """A reboot of the host."""

    method: RebootMethod = Field(RebootMethod.CLEAN, description="Clean, or Forced as a last rung.")


class HostAction(Resource):
    """Exactly one of these."""

    fix_config: Fixing | None = Field(None, description="Stop a cause by a change of the host.")
    reclaim: Fixing | None = Field(None, description="Free what leaked.")
    reboot: Rebooting | None = Field(None, description="Boot anew.")


class HostRequest(Resource):
    """At most one at a time; absent: there is nothing to do."""

    id: str = Field(
        description="The agent does each id at most once, across its restarts.",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
    )
    action: HostAction = Field(description="What to do.")
    boot_id: str = Field(
        alias="bootID",
        description="It is refused when the node has booted since.",
        min_length=1,
        max_length=64,
    )
    deadline: Timestamp = Field(
        description="It is refused when it has not begun by then, by the node's clock."
    )


class RequestStatus(Resource):
    """What the agent made of the request."""

    id: str = Field(description="The request.", max_length=253)
    state: RequestState = Field(description="How far it has come.")
    message: str = Field(
        "", description="What was done, or what stood against it.", max_length=1024
    )
    finished_at: Timestamp | None = Field(
        None, description="When it was over, by the node's clock."
    )
