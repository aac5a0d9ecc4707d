"""What policies may name: the shipped list of detectors, reasons and causes.

The list is generated beside the types that both programs share, since the operator does not know
the agent: ``{"detectors": {key: {"condition", "parameters", "reasons"}}, "causes": [id]}``.
Without a list of causes any cause may be named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pydantic import BaseModel, ValidationError

from kernelhealth_api.remediation import Remediation
from kernelhealth_operator.errors import CatalogueBroken
from kernelhealth_operator.policy.problems import Catalogue

_FILE = "catalogue.json"


class _Detector(BaseModel):
    condition: str
    parameters: tuple[str, ...]
    reasons: tuple[str, ...]


class _Shipped(BaseModel):
    detectors: dict[str, _Detector]
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """The *catalogue* for policies, and for each type of condition the *reasons* it stands for."""

    catalogue: Catalogue
    reasons: Mapping[str, frozenset[str]]


def shipped(remediations: tuple[Remediation[Any], ...]) -> Known:
    """The list as it was shipped with this version; raises ``CatalogueBroken``."""
    try:
        text = (resources.files("kernelhealth_api") / _FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueBroken(
            f"kernelhealth_api/{_FILE} cannot be read ({error}): run make generate, then install."
        ) from error
    return parse(text, remediations)


def parse(text: str, remediations: tuple[Remediation[Any], ...]) -> Known:
    """The list in *text*; raises ``CatalogueBroken``."""
    try:
        listed = _Shipped.model_validate_json(text)
    except ValidationError as error:
        raise CatalogueBroken(
            f"kernelhealth_api/{_FILE} is not as expected ({error}): run make generate."
        ) from error
    detectors = listed.detectors.values()
    catalogue = Catalogue(
        reasons=frozenset(reason for one in detectors for reason in one.reasons),
        causes=frozenset(listed.causes),
        detectors={key: frozenset(one.parameters) for key, one in listed.detectors.items()},
        remediations=remediations,
    )
    return Known(catalogue, {one.condition: frozenset(one.reasons) for one in detectors})
