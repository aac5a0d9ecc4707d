"""Why something could not be measured.

::

    HostError
    ├── AbsentError      there is no such interface here: condition Unknown, NotAvailable
    ├── ForbiddenError   it is there, but this process may not: the capability it lacks is named
    ├── UnreadableError  it is there and says something that cannot be understood
    └── HungError        it was asked and did not answer in time

Each is a sentence that names the file or request; none stops more than the detector that needed it.
"""

from __future__ import annotations


class HostError(Exception):
    """Something of the host could not be measured; *path* names it, relative to the root."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class AbsentError(HostError):
    """The host has no such file or interface: not built in, not loaded, or gone meanwhile."""

    def __init__(self, path: str, why: str = "does not exist on this host") -> None:
        super().__init__(path, f"{path} {why}")


class ForbiddenError(HostError):
    """The file or interface is there, but not for this process."""

    def __init__(self, path: str, capability: str) -> None:
        super().__init__(path, f"{path} may not be read: the agent lacks {capability}")
        self.capability = capability


class UnreadableError(HostError):
    """The host said something that cannot be understood; *line* counts from 1, 0 is the whole."""

    def __init__(self, path: str, what: str, line: int = 0) -> None:
        where = f"{path}:{line}" if line else path
        super().__init__(path, f"{where} cannot be understood: {what}")
        self.line = line


class HungError(HostError):
    """A read did not come back before its deadline and was abandoned."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path, f"{path} did not answer within {seconds:g} s and was abandoned")
