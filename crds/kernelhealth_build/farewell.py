"""What takes the marks of a removed installation off a Node."""

from __future__ import annotations

from typing import Any

from kernelhealth_build.catalogue import Catalogue


def patch(known: Catalogue) -> dict[str, Any]:
    """Return the strategic merge patch of a Node's status that deletes our conditions."""
    return {
        "status": {
            "conditions": [
                {"type": detector.condition, "$patch": "delete"} for detector in known.detectors
            ]
        }
    }
