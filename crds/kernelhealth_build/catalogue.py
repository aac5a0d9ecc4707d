"""What the project can detect and do: the input of everything that is generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from kernelhealth_agent import detectors
from kernelhealth_api import registry
from kernelhealth_api.detector import Detector
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import remediations


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All detectors and all remediations, each ordered by name."""

    detectors: tuple[Detector[Any, Any], ...]
    remediations: tuple[Remediation[Any], ...]


def shipped() -> Catalogue:
    """Return what this tree holds."""
    return Catalogue(
        registry.load(detectors, "DETECTOR", Detector),
        registry.load(remediations, "REMEDIATION", Remediation),
    )


def action(remediation: Remediation[Any]) -> str:
    """Return the remediation's name as policies spell it: ``fixConfig``."""
    return to_camel(remediation.name)
