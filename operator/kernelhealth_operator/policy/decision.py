"""What comes out of a decision: steps to take, and why or why not.

How steps are executed:

- In order, and the first that fails ends the decision: what follows rests on it. Afterwards
  the situation is gathered anew and decided anew, so nothing needs to be remembered or retried.
- A decision writes each object at most once. So the resourceVersion of every step is that of the
  situation the decision was made from, and a step based on an outdated view is refused by the
  API server instead of being carried out.
- Every prefix of the steps is a state that the next decision understands: a crash between any
  two of them, a lost reply, or a step carried out twice leads to the same end.
- An ``Announce`` can be lost by a crash. It is never the only trace: status says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kernelhealth_api.procedure import Effect, PatchNode
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationSpec, NodeRemediationStatus


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one check: *reason* is one word, *message* a sentence for a person.

    *retry_at* is when time alone may change the answer. *expected* is when it will, where that is
    known beforehand and stays the same each time it is asked.
    """

    check: str
    ok: bool
    reason: str
    message: str
    retry_at: datetime | None = None
    expected: datetime | None = None

    @classmethod
    def yes(cls, check: str, message: str) -> Verdict:
        """Return the verdict of a *check* that has nothing against it."""
        return cls(check, ok=True, reason="Ok", message=message)

    @classmethod
    def no(cls, check: str, reason: str, message: str, retry_at: datetime | None = None) -> Verdict:
        """Return the verdict of a *check* that is against it."""
        return cls(check, ok=False, reason=reason, message=message, retry_at=retry_at)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class OpenRemediation:
    """Create the NodeRemediation *name*, then write its status.

    The name follows from the node and its last treatment, so that opening twice is refused as
    AlreadyExists. Without the second write (a crash between) the next decision repairs the status.
    """

    name: str
    spec: NodeRemediationSpec
    status: NodeRemediationStatus


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Replace the status of the NodeRemediation *name* if still at *resource_version*.

    Before a ``ChangeNode`` it is also sent when it changes nothing: that confirms that the
    treatment, in the name of which the Node is changed, is still as it was seen.
    """

    name: str
    resource_version: str
    status: NodeRemediationStatus


@dataclass(frozen=True, slots=True)
class ChangeNode:
    """Patch the Node; a patch that changes nothing confirms that the Node is still as seen."""

    action: PatchNode


@dataclass(frozen=True, slots=True)
class Do:
    """Do one thing about the Node *name* that is no change of the Node itself."""

    name: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Announce:
    """Raise an Event on the Node."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Step = OpenRemediation | SetStatus | ChangeNode | Do | Announce


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, the verdicts that led there, and what is waited for if anything.

    *verdicts* end with the first check that was not ok, if one was not. *waiting_for* reads
    ``Reason: explanation``. *due* is when to decide again though nothing has changed. *reads* are
    paths that must be read live before it can be decided at all.
    """

    steps: tuple[Step, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    waiting_for: str | None = None
    due: datetime | None = None
    reads: tuple[str, ...] = ()
