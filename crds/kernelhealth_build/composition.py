"""The parts of the schemas that are composed from detectors and remediations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from kernelhealth_api.detector import Detector
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.schema import Defaults, Schema, structural
from kernelhealth_build.catalogue import Catalogue, action
from kernelhealth_build.paper import sentence

Composer = Callable[[Catalogue, str], Schema]


def thresholds(catalogue: Catalogue, description: str) -> Schema:
    """Return the schema of all detectors' parameters: an object for each, by its key."""
    members = {detector.key: parameters_of(detector) for detector in catalogue.detectors}
    return {"description": description, "type": "object", "properties": members}


def actions(catalogue: Catalogue, description: str) -> Schema:
    """Return the schema of a ladder of actions: each entry has one property, named by what it does.

    That is the form that Kubernetes itself gives to unions, as in a volume's source.
    """
    members = {
        action(remediation): settings_of(remediation) for remediation in catalogue.remediations
    }
    entry = {
        "description": "One action: its name, and its parameters ({} for none).",
        "type": "object",
        "properties": members,
    }
    return {
        "description": description,
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "x-kubernetes-list-type": "atomic",
        "items": entry,
    }


def parameters_of(detector: Detector[Any, Any]) -> Schema:
    """Return the schema of the parameters of *detector*: all optional, none filled in."""
    return _optional(detector.params, f"{detector.key}: {detector.summary}")


def settings_of(remediation: Remediation[Any]) -> Schema:
    """Return the schema of the parameters of *remediation*: all optional, none filled in."""
    return _optional(remediation.settings, f"{action(remediation)}: {remediation.summary}")


def _optional(model: type[BaseModel], description: str) -> Schema:
    """Return the schema of *model*, none of whose fields may be required."""
    schema = structural(model, Defaults.TOLD)
    if "required" in schema:
        names = ", ".join(schema["required"])
        raise ValueError(f"{model.__module__}.{model.__name__}: give a default to {names}")
    return schema | {"description": sentence(description)}
