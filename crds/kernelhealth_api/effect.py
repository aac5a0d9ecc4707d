"""What a procedure may want done: to the Node, its pods, its agent, or objects of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.v1alpha1.request import HostRequest


@dataclass(frozen=True, slots=True)
class PatchNode:
    """A merge patch of one Node, refused by the server unless it is still at *resource_version*.

    *owned*: it is applied instead (server-side apply), so that the server remembers from then on
    whose each of its fields is. Nothing else may be applied to Nodes: it would give those up.
    """

    name: str
    resource_version: str
    body: Mapping[str, Any]
    owned: bool = False


@dataclass(frozen=True, slots=True)
class AskAgent:
    """Ask the agent of the node for one thing; sent again as it is, it changes nothing."""

    request: HostRequest


@dataclass(frozen=True, slots=True)
class Evict:
    """Ask the Eviction API for one pod, of that UID and no other; a PDB may say no, for now."""

    namespace: str
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete one pod, of that UID and no other, whatever a PDB says."""

    namespace: str
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object of another project below *path*; that it is there already is fine."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge *body*, which carries its resourceVersion, into the object at *path*."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back what *owner* asked of the object at *path*, if its annotation says so.

    *body* is merged into it; None: the object itself is what was asked, and is deleted.
    """

    path: str
    owner: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """Merge *body* into the status of one Node, conditions by their type."""

    name: str
    body: Mapping[str, Any]


Effect = PatchNode | AskAgent | Evict | DeletePod | Create | Merge | Withdraw | PatchStatus
