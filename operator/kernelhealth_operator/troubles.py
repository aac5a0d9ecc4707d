"""Several things that are each tried, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from kernelhealth_operator.cluster.errors import ApiError


class Troubles:
    """Collects ``ApiError`` and raises the first at the end; everything else passes at once."""

    def __init__(self) -> None:
        self._noted: list[ApiError] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._noted:
            raise self._noted[0]

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Whatever the API server answers in this block is kept for the end."""
        try:
            yield
        except ApiError as error:
            self._noted.append(error)
