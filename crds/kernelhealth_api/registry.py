"""Finds what a package offers: one constant in each of its modules."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Protocol, TypeVar


class Named(Protocol):
    """Anything that can be registered."""

    @property
    def name(self) -> str:
        """The name, which with underscores between its words is also the name of the module."""


N = TypeVar("N", bound=Named)


def load(package: ModuleType, constant: str, kind: type[N]) -> tuple[N, ...]:
    """Return *constant* of every module in *package*, ordered by name.

    Raises ``TypeError`` for a module that does not define it, or under another name than its own:
    a forgotten registration stops the program instead of silently switching a feature off.
    """
    found = []
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        value = getattr(importlib.import_module(info.name), constant, None)
        module = info.name.rpartition(".")[2]
        if not isinstance(value, kind) or _plain(module) != _plain(value.name):
            raise TypeError(f"{info.name} must define {constant}, a {kind.__name__} of that name")
        found.append(value)
    return tuple(sorted(found, key=lambda value: value.name))


def _plain(name: str) -> str:
    """Return a name in neither spelling, since nobody agrees on ``DisableIPv6RPFilter``."""
    return name.replace("_", "").lower()
