"""The report by pod: what is wrong with each, and what is wrong with the node itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from kernelhealth_agent import measures
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.wording import printable

NODE = "(the node)"


def by_pod(confirmed: Iterable[Seen]) -> dict[str, list[Seen]]:
    """Return what was found by pod, the pods in trouble most first, then what has no pod."""
    found: dict[str, list[Seen]] = {}
    for seen in confirmed:
        subject = seen.observation.subject
        uid = f"uid {subject.pod_uid}" if subject.pod_uid else NODE
        found.setdefault(printable(subject.pod or uid), []).append(seen)
    return dict(sorted(found.items(), key=_order))


def wire(pods: Mapping[str, Sequence[Seen]]) -> list[dict[str, Any]]:
    """Return the same for programs; the pod of what has none is null."""
    return [
        {"pod": None if pod == NODE else pod, "findings": [_finding(seen) for seen in found]}
        for pod, found in pods.items()
    ]


def table(pods: Mapping[str, Sequence[Seen]]) -> Table:
    """Return the same for people."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    made.add_column("POD", ratio=2, overflow="fold")
    made.add_column("SEVERITY", no_wrap=True)
    made.add_column("WHAT", ratio=6, overflow="fold")
    made.add_column("SINCE", no_wrap=True)
    for pod, found in pods.items():
        for number, seen in enumerate(found):
            observation = seen.observation
            what = f"{observation.reason.name}\n{printable(observation.message)}"
            since = observation.began or seen.first.wall
            made.add_row(
                Text("" if number else pod),
                Text(str(measures.own_severity(seen))),
                Text(what),
                Text(f"{since:%Y-%m-%d %H:%M:%S}"),
            )
    return made


def _order(item: tuple[str, list[Seen]]) -> tuple[bool, int, int, str]:
    pod, found = item
    worst = max(measures.own_severity(seen).rank for seen in found)
    return pod == NODE, -worst, -len(found), pod


def _finding(seen: Seen) -> dict[str, Any]:
    observation = seen.observation
    since = observation.began or seen.first.wall
    return {
        "reason": observation.reason.name,
        "severity": str(measures.own_severity(seen)),
        "cause": observation.cause,
        "subject": observation.subject.model_dump(
            mode="json", by_alias=True, exclude_defaults=True
        ),
        "message": observation.message,
        "since": since.isoformat(),
        "cures": list(observation.cures),
    }
