"""The detector that one condition of plugins makes, and the source of its sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kernelhealth_agent import errors
from kernelhealth_agent.catalogue import Pair
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.plugins import Plugin, Results, Runner
from kernelhealth_agent.kernel import plugin_results
from kernelhealth_agent.kernel.plugin_results import PROBLEM, Result, Sample
from kernelhealth_agent.source import Occasion, Source
from kernelhealth_agent.wording import printable, shortened
from kernelhealth_api.detector import Detector, Observation, Params, Reason, Severity, Subject

_NOT_YET: Final = Result(None, "", "it has not ended yet, its result comes with a later round")


@dataclass(frozen=True, slots=True)
class Check:
    """One plugin and what its no means. A *permanent* one decides over the condition.

    *most* is how many bytes of what it says are told.
    """

    plugin: Plugin
    reason: Reason
    permanent: bool
    most: int

    @property
    def path(self) -> str:
        """The program that is run."""
        return self.plugin.script.path


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition and the checks that it stands for, of the file of that name."""

    name: str
    type: str
    file: str
    checks: tuple[Check, ...]


def pair(condition: Condition, runner: Runner, patience: float) -> Pair:
    """Return source and detector; a look waits *patience* seconds for plugins at the most."""
    plugins = tuple(check.plugin for check in condition.checks)
    probe = Results(f"plugins/{condition.name}", runner, plugins, patience)

    def collect(host: Host, _: Occasion[None]) -> Sample:
        return _sampled(plugin_results.decoded(host.probe(probe), probe.name), condition.checks)

    def judge(sample: Sample, _: Params) -> Iterator[Observation]:
        return _judged(sample, condition.checks)

    reads = tuple(dict.fromkeys(check.path for check in condition.checks))
    period = min(plugin.interval for plugin in plugins)
    return Source(condition.name, Sample, reads, collect, period), Detector(
        name=condition.name,
        condition=condition.type,
        summary=f"What plugins of {condition.file} report",
        sample=Sample,
        params=Params,
        reasons=tuple({check.reason.name: check.reason for check in condition.checks}.values()),
        judge=judge,
    )


def broken(name: str, kind: str, path: str, why: str) -> Pair:
    """Return what stands for a file that cannot be used: its condition is never known."""

    def collect(_: Host, __: Occasion[None]) -> Sample:
        raise errors.UnreadableError(path, why)

    summary = f"The plugins of {path}, which cannot be used"
    return Source(name, Sample, (path,), collect), Detector(
        name=name,
        condition=kind,
        summary=summary,
        sample=Sample,
        params=Params,
        reasons=(),
        judge=lambda _, __: (),
    )


def _sampled(found: dict[str, Result | None], checks: Sequence[Check]) -> Sample:
    """Return what is known; ``HostError`` where that does not decide over the condition.

    Trouble that is known is trouble, whatever else is not known.
    """
    results = {check.plugin.name: found.get(check.plugin.name) or _NOT_YET for check in checks}
    known = {name: result for name, result in results.items() if not result.unknown}
    blind = tuple(
        shortened(f"plugin {check.path}: {results[check.plugin.name].unknown}", 200)
        for check in checks
        if check.plugin.name not in known
    )
    deciding = [check.plugin.name for check in checks if check.permanent]
    undecided = [name for name in deciding if name not in known]
    trouble = any(known[name].status == PROBLEM for name in deciding if name in known)
    if blind and ((undecided and not trouble) or not known):
        raise errors.HostError(checks[0].path, "; ".join(blind))
    return Sample(known, blind)


def _judged(sample: Sample, checks: Iterable[Check]) -> Iterator[Observation]:
    for check in checks:
        result = sample.results.get(check.plugin.name)
        if result is not None and result.status == PROBLEM:
            yield Observation(
                check.reason,
                check.plugin.name,
                Subject(file=check.path),
                _message(check, result),
                severity=None if check.permanent else Severity.INFO,
            )


def _message(check: Check, result: Result) -> str:
    said = result.output.encode()[: check.most].decode(errors="ignore").strip()
    if not said:
        return f"Plugin {check.path} reports trouble and does not say which."
    return f"Plugin {check.path} reports: {printable(said)}"
