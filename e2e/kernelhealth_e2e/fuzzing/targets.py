"""Every parser and decoder of the kernel's words, found by its signature: bytes come first.

A new one is fuzzed without being listed. Only values for parameters of a new name are to be added.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOSTS = Path(__file__).parents[3] / "tests" / "fixtures" / "hosts"
ARGUMENTS: Mapping[str, Any] = {
    "above": -1,
    "after": -1,
    "before": {},
    "compressed": 0,
    "count": 1,
    "file": "run/aws-node/ipam.json",
    "known": {},
    "listing": b"",
    "name": "net_namespace_list",
    "path": "proc/x",
    "pattern": r"(\d+)",
    "processors": 4,
    "stack": b"",
    "structures": ("net", "ns_common", "list_head"),
    "timer": None,
    "uptime": 1.0,
    "wanted": {"net": ("list", "passive")},
    "wchan": b"",
}
"""What stands for the other parameters, by their names."""
NOT_INPUT = {"masked_netlink.masked", "netlink.attribute", "rtnetlink.nsid_message"}
"""What is called with values of our own, and tested for itself."""
BINARY = {"btf", "btf_excerpt", "kcore", "net_layout"}
"""Modules of binary formats beside netlink's, whose parameter is called a stream."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser; *binary* ones are also fuzzed under the guidance of coverage."""

    name: str
    function: Callable[..., Any]
    binary: bool

    def __call__(self, content: bytes) -> None:
        """Parse, to the end: what is yielded is taken."""
        others = list(inspect.signature(self.function).parameters)[1:]
        found = self.function(content, **{name: ARGUMENTS[name] for name in others})
        if isinstance(found, Iterator):
            for _ in found:
                pass

    @property
    def strange(self) -> list[str]:
        """Parameters that nobody gave a value for."""
        others = list(inspect.signature(self.function).parameters)[1:]
        return [name for name in others if name not in ARGUMENTS]


def every() -> list[Target]:
    """Return all targets, by name."""
    from kernelhealth_agent import kernel  # noqa: PLC0415 - Instrumented, if it is to be.

    found = []
    for module in pkgutil.iter_modules(kernel.__path__):
        loaded = importlib.import_module(f"{kernel.__name__}.{module.name}")
        found += [
            Target(name, function, "stream" in parameters or module.name in BINARY)
            for name, function, parameters in _functions(module.name, loaded)
            if name not in NOT_INPUT
        ]
    return sorted(found, key=lambda target: target.name)


def seeds() -> Iterator[bytes]:
    """Yield what recorded hosts hold, the netlink answers as bytes."""
    for path in sorted(HOSTS.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 16:
            continue
        content = path.read_bytes()
        if path.suffix == ".hex":
            lines = content.decode(errors="replace").split()
            if all(set(line) <= set("0123456789abcdef") and not len(line) % 2 for line in lines):
                content = b"".join(map(bytes.fromhex, lines))
        yield content


def _functions(
    name: str, module: types.ModuleType
) -> Iterator[tuple[str, Callable[..., Any], list[str]]]:
    for attribute, function in vars(module).items():
        if attribute.startswith("_") or not inspect.isfunction(function):
            continue
        if function.__module__ != module.__name__:
            continue
        parameters = inspect.signature(function).parameters
        first = next(iter(parameters.values()), None)
        if first is not None and first.annotation == "bytes":
            yield f"{name}.{attribute}", function, list(parameters)
