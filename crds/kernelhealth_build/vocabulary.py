"""The words that policies may use, for the operator, which does not know the agent's code."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic.alias_generators import to_camel

from kernelhealth_build.catalogue import Catalogue


def listed(known: Catalogue, causes: Sequence[str]) -> str:
    """Return detectors with condition, parameters and reasons, and the causes, as JSON."""
    detectors = {
        detector.key: {
            "condition": detector.condition,
            "parameters": sorted(to_camel(name) for name in detector.params.model_fields),
            "reasons": sorted(reason.name for reason in detector.reasons),
        }
        for detector in known.detectors
    }
    return json.dumps({"detectors": detectors, "causes": sorted(causes)}, indent=2) + "\n"
