"""``explain``: what a reason or a cause means, and what to do about it."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from kernelhealth_agent import catalogue, handbook
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_HEALTHY
from kernelhealth_agent.handbook import CausePage, Handbook
from kernelhealth_agent.reporters import explanation
from kernelhealth_agent.reporters.explanation import Explained
from kernelhealth_agent.thresholds import AnyDetector

_NEAR: Final = 5
_ALIKE: Final = 0.5


class NoSuchPageError(Exception):
    """There is no page of that name; the message lists those with names like it."""


def execute(asked: argparse.Namespace) -> int:
    """Print one page, or the list of all; 2 where there is no such page."""
    try:
        book = handbook.shipped()
        detectors = tuple(detector for _, detector in catalogue.every())
        if asked.name is None:
            _list(detectors, book, asked.output)
        else:
            _show(found(asked.name, detectors, book), asked.output)
    except (NoSuchPageError, handbook.HandbookError) as error:
        sys.stderr.write(f"kernelhealth-agent explain: {error}\n")
        return EXIT_BLIND
    return EXIT_HEALTHY


def found(name: str, detectors: Iterable[AnyDetector], book: Handbook) -> Explained | CausePage:
    """Return the page of that name, in whatever case it is written.

    Raises ``NoSuchPageError``.
    """
    pages: dict[str, Explained | CausePage] = dict(book.causes)
    for detector in detectors:
        for reason in detector.reasons:
            page = book.reasons.get(reason.name)
            if page is not None:
                pages[reason.name] = Explained(detector, reason, page, book.causes_of(reason.name))
    by_lower = {known.lower(): known for known in pages}
    known = by_lower.get(name.lower())
    if known is not None:
        return pages[known]
    near = [by_lower[each] for each in _near(name.lower(), by_lower)]
    hint = f"did you mean {' or '.join(near)}?" if near else "there is none of a name like it."
    raise NoSuchPageError(
        f"there is no reason and no cause {name!r}; {hint} kernelhealth-agent explain lists all"
    )


def _near(name: str, known: Iterable[str]) -> list[str]:
    """Return names like that one: first those that contain it, then those spelled alike."""
    known = list(known)
    containing = [each for each in known if len(name) > 2 and name in each]
    alike = difflib.get_close_matches(name, known, _NEAR, _ALIKE)
    return list(dict.fromkeys([*containing, *alike]))[:_NEAR]


def _show(page: Explained | CausePage, output: str) -> None:
    if output == "json":
        _print_json(_wire(page))
    elif isinstance(page, CausePage):
        explanation.cause(page, sys.stdout)
    else:
        explanation.reason(page, sys.stdout)


def _list(detectors: Iterable[AnyDetector], book: Handbook, output: str) -> None:
    if output != "json":
        explanation.listing(detectors, book, sys.stdout)
        return
    reasons = [
        {"reason": reason.name, "severity": reason.severity, "meaning": reason.meaning}
        for detector in detectors
        for reason in detector.reasons
    ]
    causes = [{"id": page.id, "title": page.title} for page in book.causes.values()]
    _print_json({"reasons": sorted(reasons, key=lambda each: each["reason"]), "causes": causes})


def _wire(page: Explained | CausePage) -> dict[str, Any]:
    if isinstance(page, CausePage):
        return {"kind": "cause", **page.model_dump(mode="json", by_alias=True)}
    return {
        "kind": "reason",
        **page.page.model_dump(mode="json", by_alias=True),
        "severity": page.reason.severity,
        "meaning": page.reason.meaning,
        "detector": page.detector.name,
        "condition": page.detector.condition,
        "causes": [each.id for each in page.causes],
    }


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
