"""Outcomes as people and programs read them: a table, a document, JUnit's XML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree as ET

from rich.table import Table

from kernelhealth_e2e.lab.outcome import Mark, Outcome, Stage
from kernelhealth_e2e.lab.scenario import Scenario

_HEADS = ("scenario", "run", "kernel", *(str(stage) for stage in Stage), "boot", "disk")
_OPENING = """\
# The kernel lab

Every failure that this software is for, made live on real kernels, as Nodes of a real cluster:
reproduced, detected, named, treated, verified. Written by `make lab`; what is below was measured by
it. How the lab is made: [ADR 16](adr/0016-the-kernel-lab.md).

```
make lab                                 # everything
make lab SCENARIO=gssproxy KERNEL=6.12   # one scenario, on one kernel
make lab-list                            # what there is
```

Seconds are those of machines emulated in software, on a machine with two cores that may have had
other work. *silent* is what a control has to be. *boot* is from power to a Ready Node, *disk* what
its disk takes up then.
"""


def table(outcomes: Iterable[Outcome]) -> Table:
    """Return what a terminal shows."""
    shown = Table(*_HEADS, title="The kernel lab")
    for outcome in outcomes:
        shown.add_row(*_row(outcome), style="" if outcome.passed else "red")
    return shown


def document(
    scenarios: Iterable[Scenario], kernels: Mapping[str, str], outcomes: tuple[Outcome, ...]
) -> str:
    """Return docs/lab.md; *kernels* are descriptions by the lab's names."""
    parts = [_OPENING, "## Kernels\n", *_kernels(kernels, outcomes)]
    for scenario in scenarios:
        mine = [one for one in outcomes if one.subject.scenario == scenario.name]
        parts += [f"\n## {scenario.name}\n", f"{scenario.title}\n", *_scenario(scenario, mine)]
    return "\n".join(parts) + "\n"


def junit(outcomes: Iterable[Outcome]) -> str:
    """Return the XML that CI systems read (the format of Apache Ant's JUnit task)."""
    suite = ET.Element("testsuite", name="kernel lab")
    for outcome in outcomes:
        subject = outcome.subject
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"lab.{subject.scenario}",
            name=f"{subject.run} on {subject.kernel}",
            time=f"{sum(step.seconds for step in outcome.steps):.1f}",
        )
        if not outcome.passed:
            failure = ET.SubElement(case, "failure", message=_first_line(complaint(outcome)))
            failure.text = complaint(outcome)
        ET.SubElement(case, "system-out").text = "\n".join(_words(outcome))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def complaint(outcome: Outcome) -> str:
    """Say why a run has not passed."""
    if outcome.error:
        return outcome.error
    missing = [str(one) for one in outcome.expected if outcome.step(one) is None]
    return f"stages that were never shown: {', '.join(missing)}"


def _row(outcome: Outcome) -> tuple[str, ...]:
    subject = outcome.subject
    boot = outcome.boot
    machine = (f"{boot.seconds:.0f} s", f"{boot.disk_mib:.0f} MiB") if boot else ("-", "-")
    cells = (_cell(outcome, stage) for stage in Stage)
    return (subject.scenario, subject.run, subject.kernel, *cells, *machine)


def _cell(outcome: Outcome, stage: Stage) -> str:
    step = outcome.step(stage)
    if step is None:
        return "**missing**" if stage in outcome.expected else "-"
    if step.mark is Mark.FAILED:
        return f"**failed** after {step.seconds:.0f} s"
    return str(step.mark) if step.mark is Mark.SILENT else f"{step.mark}, {step.seconds:.1f} s"


def _kernels(kernels: Mapping[str, str], outcomes: tuple[Outcome, ...]) -> list[str]:
    lines = ["| kernel | what it is | release | MiB |", "|-|-|-|-|"]
    for name, what in kernels.items():
        mine = [one for one in outcomes if one.subject.kernel == name and one.boot]
        release = mine[-1].subject.release if mine else "not booted"
        size = f"{mine[-1].boot.kernel_mib:.0f}" if mine and mine[-1].boot else "-"
        lines.append(f"| {name} | {what} | {release} | {size} |")
    return lines


def _scenario(scenario: Scenario, outcomes: list[Outcome]) -> list[str]:
    heads = _HEADS[1:]
    lines = [f"| {' | '.join(heads)} |", f"|{'-|' * len(heads)}"]
    lines += [f"| {' | '.join(_row(outcome)[1:])} |" for outcome in outcomes]
    played = {(one.subject.run, one.subject.kernel) for one in outcomes}
    blank = " | " * (len(heads) - 3)
    for kernel, runs in scenario.on.items():
        for run in runs:
            if (run.name, kernel) not in played:
                lines.append(f"| {run.name} | {kernel} | not played yet{blank} |")
    for kernel in scenario.impossible:
        lines.append(f"| - | {kernel} | cannot be made{blank} |")
    lines += [
        f"\n**{kernel}** cannot be made: {why}" for kernel, why in scenario.impossible.items()
    ]
    titles = {run.name: run.title for runs in scenario.on.values() for run in runs}
    for outcome in outcomes:
        subject = outcome.subject
        title = titles.get(subject.run, "")
        lines.append(f"\n**{subject.run} on {subject.kernel}**: {title}\n")
        lines += [f"- {line}" for line in _words(outcome)]
        if not outcome.passed:
            lines.append(f"- not passed: {_first_line(complaint(outcome))}")
    return lines


def _words(outcome: Outcome) -> list[str]:
    return [
        f"{step.stage} ({_time(step.mark, step.seconds)}): {step.words}" for step in outcome.steps
    ]


def _time(mark: Mark, seconds: float) -> str:
    return f"{seconds:.1f} s" if mark is Mark.YES else str(mark)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]
