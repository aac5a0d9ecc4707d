"""The detectors there are, each with the source of its sample; the registry says which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernelhealth_agent import detectors, sources
from kernelhealth_agent.rounds import paired
from kernelhealth_agent.source import Source
from kernelhealth_agent.sources import network_namespaces
from kernelhealth_agent.thresholds import AnyDetector
from kernelhealth_api import registry
from kernelhealth_api.detector import Detector

Pair = tuple[Source[Any, Any], AnyDetector]


class NoSuchDetectorError(Exception):
    """A detector was named that does not exist; the message lists those that do."""


def every() -> tuple[Pair, ...]:
    """Return all detectors, by name."""
    found = registry.load(sources, "SOURCE", Source)
    return paired(found, registry.load(detectors, "DETECTOR", Detector))


def opening(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """Return the detectors so that they may put a device into namespaces, to look inside them."""
    intrusive = network_namespaces.by_device()
    return tuple((intrusive if s.name == intrusive.name else s, d) for s, d in pairs)


def chosen(pairs: Iterable[Pair], names: Iterable[str]) -> tuple[Pair, ...]:
    """Return the detectors of those names, all of them for none; either spelling will do."""
    pairs = tuple(pairs)
    wanted = list(names)
    known = {key: pair for pair in pairs for key in (pair[1].name, pair[1].key)}
    for name in wanted:
        if name not in known:
            there = ", ".join(detector.name for _, detector in pairs) or "none"
            raise NoSuchDetectorError(f"there is no detector {name!r}; there are: {there}")
    named = {known[name][1].name for name in wanted}
    return tuple(pair for pair in pairs if not named or pair[1].name in named)
