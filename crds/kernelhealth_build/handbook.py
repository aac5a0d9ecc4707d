"""The pages of reasons and causes below docs/, from the agent's handbook.

Each has an anchor of its own name, so that ``docs/causes.md#GssProxyPin`` is where the cause of a
finding is told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kernelhealth_agent.handbook import CausePage, Fix, Handbook, ReasonPage
from kernelhealth_api.cures import CURES
from kernelhealth_api.detector import Detector, Reason
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_build.paper import page, sentence, table


def reasons(catalogue: Catalogue, handbook: Handbook) -> str:
    """Return the page of all reasons, by detector."""
    return page(
        "Reasons",
        "What a finding can say of a node, how to check it, and what to do. "
        "`kernelhealth-agent explain REASON` shows the same on the node itself.",
        *(part for detector in catalogue.detectors for part in _of(detector, handbook)),
    )


def causes(handbook: Handbook) -> str:
    """Return the page of all causes, and of the cures they name."""
    names = [f"[{name}](#{name})" for name in handbook.causes]
    cures = [
        (f"`{each.name}`", each.stage, "yes" if each.risky else "", each.summary) for each in CURES
    ]
    return page(
        "Causes",
        "Why a node got into trouble, as far as it can be told. A finding names its cause by the "
        "id that is the title here; `kernelhealth-agent explain CAUSE` shows the same on the node.",
        f"{', '.join(names)}." if names else "",
        *(part for each in handbook.causes.values() for part in _cause(each)),
        "## Cures",
        "What findings name as cures, those that stop a cause first. A risky one is done only "
        "where a policy names it.",
        table(("cure", "stage", "risky", "what it does"), cures),
    )


def _of(detector: Detector[Any, Any], handbook: Handbook) -> Iterator[str]:
    for reason in detector.reasons:
        yield _title(reason.name)
        yield f"{sentence(reason.meaning)} Usually {reason.severity}; detector `{detector.key}`."
        told = handbook.reasons.get(reason.name)
        if told is not None:
            yield from _reason(reason, told, handbook)


def _reason(reason: Reason, told: ReasonPage, handbook: Handbook) -> Iterator[str]:
    yield "\n\n".join(told.means)
    yield from _list("How it is seen:", told.evidence)
    yield "Check it yourself, as root on the node:"
    yield "\n".join(["```", *told.check_yourself, "```"])
    yield from _list("What to do:", told.do)
    yield from _list("What looks alike and is none:", told.false_alarms)
    found = [f"[{each.id}](causes.md#{each.id})" for each in handbook.causes_of(reason.name)]
    if found:
        yield f"Causes: {', '.join(found)}."


def _cause(told: CausePage) -> Iterator[str]:
    yield _title(told.id)
    yield f"**{sentence(told.title)}**"
    yield "\n\n".join(told.mechanism)
    yield f"Affected: {told.affected}"
    yield from _list("Fixed upstream:", map(_fixed, told.fixes))
    yield f"Why the release is no verdict: {told.not_by_version}"
    yield _cures(told)
    seen = [f"[{name}](reasons.md#{name})" for name in told.reasons]
    yield f"Seen as {', '.join(seen)}."
    yield from _list("References:", told.references)


def _cures(told: CausePage) -> str:
    names = ", ".join(f"`{name}`" for name in told.cures)
    if isinstance(told.only_reboot, bool):
        only = "Nothing but a reboot helps." if told.only_reboot else "It takes no reboot."
    else:
        only = f"Does it take a reboot? {told.only_reboot}"
    return f"Cures: {names}. {only}" if names else only


def _fixed(fix: Fix) -> str:
    commit = f"`{fix.commit[:12]}` " if fix.commit else ""
    return f"{commit}{fix.subject}, in {', '.join(fix.releases)}"


def _title(name: str) -> str:
    return f'<a id="{name}"></a>\n\n## {name}'


def _list(title: str, texts: Iterable[str]) -> Iterator[str]:
    lines = [f"- {text}" for text in texts]
    if lines:
        yield title
        yield "\n".join(lines)
