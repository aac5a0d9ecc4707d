"""The thresholds in force: defaults, and what the spec or the command line changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from kernelhealth_api.detector import Detector, Params

AnyDetector = Detector[Any, Any]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The parameters of one detector; *complaint* says why the wanted ones are not in force."""

    params: Params
    complaint: str = ""


def in_force(
    detectors: Iterable[AnyDetector],
    wanted: Mapping[str, Any],
    confirm_after: timedelta | None = None,
) -> dict[str, Thresholds]:
    """Return the thresholds by name of the detector; *wanted* is ``spec.detectors``.

    Thresholds that cannot be used leave the defaults in force, and a complaint. *confirm_after*
    replaces every time for which an observation must last.
    """
    found = {}
    for detector in detectors:
        chosen = _chosen(detector, wanted.get(detector.key, {}))
        if confirm_after is not None:
            fields = {r.confirm: confirm_after for r in detector.reasons if r.confirm}
            chosen = Thresholds(chosen.params.model_copy(update=fields), chosen.complaint)
        found[detector.name] = chosen
    return found


def _chosen(detector: AnyDetector, wanted: Any) -> Thresholds:
    try:
        return Thresholds(detector.params.model_validate(wanted))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(("spec.detectors", detector.key, *map(str, first["loc"])))
        complaint = f"{where}: {first['msg']}; the defaults are in force until it is corrected"
        return Thresholds(detector.params(), complaint)
