"""A catalogue with two detectors and two remediations, so that these tests need no real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pydantic import Field

from kernelhealth_api.detector import Detector, Observation, Params, Reason, Severity, Signal
from kernelhealth_api.duration import Duration
from kernelhealth_api.procedure import PatchNode
from kernelhealth_api.remediation import (
    Action,
    DisruptionLevel,
    Permission,
    Remediation,
    Settings,
    Target,
)
from kernelhealth_build.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Sample:
    sockets: int


class SocketParams(Params):
    confirm_after: Duration = Field(timedelta(minutes=2), description="How long it must last.")
    critical_count: int = Field(10, gt=0, description="How many are critical.")


def judge(sample: Sample, params: SocketParams) -> Iterator[Observation]:
    del sample, params
    yield from ()


def counted(sample: Sample) -> Mapping[tuple[str, ...], float]:
    return {(): float(sample.sockets)}


def apply(target: Target, owner: str, settings: Settings) -> Iterator[PatchNode]:
    del target, owner, settings
    yield from ()


def revert(target: Target, owner: str) -> Iterator[Action]:
    del target, owner
    yield from ()


def done(target: Target, owner: str) -> bool:
    del target, owner
    return True


class DrainSettings(Settings):
    time_limit: Duration = Field(timedelta(minutes=30), description="How long it may take.")


SOCKETS = Detector(
    name="stuck_sockets",
    condition="SocketsHealthy",
    summary="Sockets that no longer move",
    sample=Sample,
    params=SocketParams,
    reasons=(
        Reason("SocketStuck", Severity.WARNING, "It waits", "confirm_after", "critical_count"),
        Reason("SocketSlow", Severity.INFO, "It is slow."),
    ),
    judge=judge,
    signals=(Signal("stuck_sockets", "Sockets that are stuck.", counted),),
)


def never(sample: Sample, params: Params) -> Iterator[Observation]:
    del sample, params
    yield from ()


CLOCK = Detector(
    name="clock",
    condition="ClockHealthy",
    summary="Clocks that go wrong",
    sample=Sample,
    params=Params,
    reasons=(Reason("ClockStopped", Severity.CRITICAL, "It stopped."),),
    judge=never,
)
DRAIN = Remediation(
    name="slow_drain",
    summary="Moves the pods away.",
    disruption=DisruptionLevel.EVICTION,
    settings=DrainSettings,
    needs=(Permission("", "pods/eviction", ("create",)), Permission("", "nodes", ("patch",))),
    apply=apply,
    revert=revert,
    done=done,
)
MARK = Remediation(
    name="mark",
    summary="Marks the node",
    disruption=DisruptionLevel.NONE,
    settings=Settings,
    needs=(Permission("", "nodes", ("patch", "get")),),
    apply=apply,
    revert=revert,
    done=done,
)


@pytest.fixture
def catalogue() -> Catalogue:
    """Two detectors, one of them without parameters, and two remediations."""
    return Catalogue((CLOCK, SOCKETS), (MARK, DRAIN))
