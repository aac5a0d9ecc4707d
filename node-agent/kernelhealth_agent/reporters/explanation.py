"""A page of the handbook as a person reads it in a terminal, or a program as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from rich.console import Console
from rich.text import Text

from kernelhealth_agent.handbook import CausePage, Fix, Handbook, ReasonPage
from kernelhealth_agent.wording import shortened
from kernelhealth_api import cures
from kernelhealth_api.detector import Detector, Reason

_PIPED_WIDTH: Final = 100
_WIDEST: Final = 110


@dataclass(frozen=True, slots=True)
class Explained:
    """A reason with all that is known of it: who finds it, its page, the causes it can have."""

    detector: Detector[Any, Any]
    reason: Reason
    page: ReasonPage
    causes: tuple[CausePage, ...]


def reason(explained: Explained, stream: TextIO) -> None:
    """Write the page of a reason."""
    page, told = explained.page, explained.reason
    console = _console(stream)
    detector = explained.detector
    about = f"usually {told.severity} · detector {detector.name} · condition {detector.condition}"
    _head(console, page.reason, about)
    _section(console, "What it means", page.means)
    _section(console, "How it is seen", page.evidence, bullet="• ")
    _commands(console, page.check_yourself)
    _section(console, "What to do", page.do, bullet="• ")
    _section(console, "What looks alike and is none", page.false_alarms, bullet="• ")
    _section(console, "Causes", [f"{each.id}: {each.title}" for each in explained.causes], "• ")


def cause(page: CausePage, stream: TextIO) -> None:
    """Write the page of a cause."""
    console = _console(stream)
    _head(console, page.id, page.title)
    _section(console, "How it comes about", page.mechanism)
    _section(console, "Affected", [page.affected])
    _section(console, "Fixed upstream", [fixed(fix) for fix in page.fixes] or ["Not that we know."])
    _section(console, "Why the release is no verdict", [page.not_by_version])
    _section(console, "Cures", [cured(name) for name in page.cures], bullet="• ")
    _section(console, "Does it take a reboot?", [only_reboot(page)])
    _section(console, "Seen as", page.reasons, bullet="• ")
    _section(console, "References", page.references, bullet="• ")


def listing(detectors: Iterable[Detector[Any, Any]], handbook: Handbook, stream: TextIO) -> None:
    """Write every reason and every cause, one line each."""
    console = _console(stream)
    reasons = [(told.name, told.meaning) for each in detectors for told in each.reasons]
    causes = [(page.id, page.title) for page in handbook.causes.values()]
    for title, lines in (("Reasons", reasons), ("Causes", causes)):
        console.print(Text(title, style="bold"))
        _lines(console, sorted(lines))
    console.print("kernelhealth-agent explain NAME shows the page of one.")


def fixed(fix: Fix) -> str:
    """Return one upstream fix in a line."""
    commit = f"{fix.commit[:12]} " if fix.commit else ""
    return f'{commit}"{fix.subject}", in {", ".join(fix.releases)}'


def cured(name: str) -> str:
    """Return one cure in a line."""
    cure = cures.named(name)
    if cure is None:
        return name
    return f"{name}: {cure.summary}{' Only where a policy names it.' if cure.risky else ''}"


def only_reboot(page: CausePage) -> str:
    """Return whether it takes a reboot, as a sentence."""
    if isinstance(page.only_reboot, bool):
        return "Yes, nothing else helps." if page.only_reboot else "No."
    return page.only_reboot


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    console = Console(
        file=stream,
        width=None if terminal else _PIPED_WIDTH,
        color_system="auto" if terminal else None,
        highlight=False,
        soft_wrap=True,
    )
    console.width = min(console.width, _WIDEST)
    return console


def _head(console: Console, name: str, about: str) -> None:
    console.print(Text(name, style="bold"))
    console.print(Text(_wrapped(about, console.width), style="dim"))


def _section(console: Console, title: str, texts: Sequence[str], bullet: str = "") -> None:
    """Write one section, nothing where there is nothing; long lines hang below their beginning."""
    if texts:
        console.print()
        console.print(Text(title, style="bold cyan"))
    for text in texts:
        console.print(Text(_wrapped(text, console.width, f"  {bullet}")))


def _commands(console: Console, lines: Sequence[str]) -> None:
    """Write commands as they are: who copies one wants it whole."""
    console.print()
    console.print(Text("Check it yourself, as root on the node", style="bold cyan"))
    for line in lines:
        console.print(Text.assemble("  ", (line, "green")))


def _wrapped(text: str, width: int, indent: str = "") -> str:
    hanging = " " * len(indent)
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    widest = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        line = f"  {name:<{widest}}  {text}"
        console.print(Text(shortened(line, console.width)))
    console.print()
