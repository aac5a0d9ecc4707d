"""What can go wrong in the operator itself; the API server's answers are in ``cluster.errors``.

OperatorError
├── CatalogueBroken    the shipped list of detectors and reasons cannot be read
└── ResourcesMissing   the custom resources are not installed
"""

# ruff: noqa: N818  # Named after what happened, as in cluster.errors.
from __future__ import annotations


class OperatorError(Exception):
    """Something that stops the operator, as a sentence that says what to do."""


class CatalogueBroken(OperatorError):
    """The shipped list of detectors and reasons cannot be read."""


class ResourcesMissing(OperatorError):
    """The custom resources are not installed."""
