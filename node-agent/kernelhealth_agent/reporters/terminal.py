"""The report as a person reads it in a terminal, or in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.reporters import pods, summary
from kernelhealth_agent.wording import printable
from kernelhealth_api.v1alpha1.finding import Finding, Subject
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthStatus

_PIPED_WIDTH = 140
_STYLES = {
    "Critical": "bold red",
    "Warning": "yellow",
    "Info": "cyan",
    "Healthy": "green",
    "Unknown": "magenta",
    "True": "green",
    "False": "red",
}


def show(
    status: NodeKernelHealthStatus,
    notes: Sequence[str],
    stream: TextIO,
    now: datetime,
    by_pod: Mapping[str, Sequence[Seen]] | None = None,
) -> None:
    """Write the report: health and what it means, findings, conditions, notes.

    With *by_pod* the findings are shown by pod. Colours are for terminals only.
    """
    console = _console(stream)
    console.print(_headline(status))
    console.print(Text(summary.summary(status, now)))
    if by_pod:
        console.print(pods.table(by_pod))
    elif status.findings and by_pod is None:
        console.print(_findings(status.findings))
    if status.findings:
        name = status.findings[0].reason
        console.print(Text(f"kernelhealth-agent explain {name} tells more.", style="dim"))
    if status.truncated:
        console.print("There are more findings than are shown here.")
    console.print(_conditions(status))
    for note in notes:
        console.print(Text.assemble(("note: ", "magenta"), printable(note)))


def renew(now: datetime, stream: TextIO) -> None:
    """Begin another report of the same machine: in the place of the last one on a terminal."""
    if stream.isatty():
        _console(stream).clear()
    stream.write(f"{now:%Y-%m-%d %H:%M:%S}Z  Ctrl-C ends\n")


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if terminal else _PIPED_WIDTH,
        color_system="auto" if terminal else None,
        highlight=False,
        soft_wrap=False,
    )


def _headline(status: NodeKernelHealthStatus) -> Text:
    parts = [Text("Kernel health: "), _word(str(status.health))]
    if status.problems:
        parts.append(Text(f" ({status.problems})"))
    about = (status.os_image, status.kernel_release and f"kernel {status.kernel_release}")
    known = ", ".join(printable(part) for part in about if part)
    if known:
        parts.append(Text(f"  {known}", style="dim"))
    return Text.assemble(*parts)


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for title, ratio in (("SEVERITY", None), ("WHAT", 6), ("WHERE", 3), ("SINCE", None)):
        table.add_column(title, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for finding in findings:
        table.add_row(
            _word(str(finding.severity)),
            _what(finding),
            Text(_where(finding.subject)),
            Text(f"{finding.since:%Y-%m-%d %H:%M:%S}"),
        )
    return table


def _what(finding: Finding) -> Text:
    count = f" x{finding.count}" if finding.count > 1 else ""
    parts: list[tuple[str, str]] = [(f"{finding.reason}{count}\n", "bold"), (finding.message, "")]
    if finding.cause:
        parts.append((f"\ncause: {finding.cause}", ""))
    if finding.cures:
        parts.append((f"\ncure:  {', then '.join(finding.cures)}", ""))
    return Text.assemble(*parts)


def _where(subject: Subject) -> str:
    """Return what is known of the subject, one thing a line."""
    lines = [("pod", subject.pod), ("process", subject.process), ("file", subject.file)]
    lines += [("rule", subject.rule), ("device", subject.device), ("held by", subject.holder)]
    lines.append(("links", ", ".join(subject.interfaces) or None))
    lines.append(("addresses", ", ".join(subject.addresses) or None))
    if subject.namespace is not None:
        lines.append(("netns", str(subject.namespace)))
    elif subject.nsid is not None:
        lines.append(("nsid", str(subject.nsid)))
    return "\n".join(f"{name}: {value}" for name, value in lines if value) or "this node"


def _conditions(status: NodeKernelHealthStatus) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for title in ("CONDITION", "STATUS", "REASON"):
        table.add_column(title, no_wrap=True)
    table.add_column("MESSAGE", overflow="fold")
    for condition in status.conditions:
        # The findings say it already, and in more words.
        message = "" if condition.status == "False" else condition.message
        table.add_row(condition.type, _word(condition.status), condition.reason, Text(message))
    return table


def _word(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))
