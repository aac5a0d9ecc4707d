"""What can go wrong in the operator itself; the API server's answers are in ``cluster.errors``.

OperatorError
├── CatalogueBroken    the shipped list of detectors and reasons cannot be read
├── PartFailed         a part ended that cannot go on without a restart
└── ResourcesMissing   the custom resources are not installed
"""

# ruff: noqa: N818  # Named after what happened, as in cluster.errors.
from __future__ import annotations

from collections.abc import Iterator


class OperatorError(Exception):
    """Something that stops the operator, as a sentence that says what to do."""


class CatalogueBroken(OperatorError):
    """The shipped list of detectors and reasons cannot be read."""


class ResourcesMissing(OperatorError):
    """The custom resources are not installed."""


class PartFailed(OperatorError):
    """A part of the operator ended that cannot go on without a restart."""

    @classmethod
    def because(cls, error: BaseException) -> PartFailed:
        """Names every cause in *error*, which may be a group of them."""
        causes = "; ".join(str(one) or type(one).__name__ for one in _leaves(error))
        return cls(f"a part of the operator has failed, start it again: {causes}")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
