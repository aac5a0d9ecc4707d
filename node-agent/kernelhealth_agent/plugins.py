"""Detectors that are made of an administrator's plugins: one condition for each that they name.

The condition of permanent rules has the name that their file gives it, as far as that can be said
of a thing that is well: ``NTPProblem`` becomes ``NTPHealthy``, ``KernelDeadlock`` becomes
``KernelDeadlockHealthy``, since True means healthy here and trouble there. Temporary rules, which
mean an event there and no condition, are notes of the condition that is named after their file's
source.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kernelhealth_agent import plugin_detectors, plugin_files
from kernelhealth_agent.catalogue import Pair
from kernelhealth_agent.hosts import scripts
from kernelhealth_agent.hosts.plugins import Plugin, Runner
from kernelhealth_agent.hosts.running import Script
from kernelhealth_agent.plugin_detectors import Check, Condition
from kernelhealth_agent.plugin_files import PluginFile, PluginFileError, Rule
from kernelhealth_api.detector import Reason, Severity

_MOST: Final = 24
"""Conditions that plugins may have in all; a NodeKernelHealth has room for 64."""
_LARGEST: Final = 1 << 20


class NoPluginsError(Exception):
    """The directory of plugins cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """The detectors that plugins make, and what runs them."""

    pairs: tuple[Pair, ...] = ()
    runners: tuple[Runner, ...] = ()

    def close(self) -> None:
        """Kill what runs, for good."""
        for runner in self.runners:
            runner.close()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What plugins come into: the detectors there are, and the environment they are run in.

    *patience* is for how many seconds a round waits for plugins that were started in it.
    """

    known: tuple[Pair, ...]
    environment: Mapping[str, str]
    patience: float


def environment(root: str, node: str | None) -> dict[str, str]:
    """Return the environment of plugins: hardly anything, where the host is, and its name."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/",
        "LANG": "C.UTF-8",
        "KERNELHEALTH_ROOT": root,
        **({"NODE_NAME": node} if node else {}),
    }


def plugged(directory: Path | None, around: Surroundings) -> Plugged:
    """Return what the files ``*.json`` in *directory* make; nothing where there is no directory.

    A file that cannot be used has a condition that is Unknown and says why. Raises
    ``NoPluginsError`` where the directory itself cannot be read.
    """
    if directory is None:
        return Plugged()
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise NoPluginsError(
            f"KERNELHEALTH_PLUGIN_DIR is {directory}, which cannot be read ({error.strerror}): "
            "mount the plugins there, or leave it out"
        ) from error
    pairs: list[Pair] = []
    runners: list[Runner] = []
    for path in paths:
        try:
            file = _read(path)
            made = _conditions(path, file, (*around.known, *pairs))
        except (PluginFileError, OSError) as error:
            pairs.append(_broken(path, str(error)))
            continue
        runner = Runner(file.defaults.concurrency, around.environment)
        runners.append(runner)
        pairs += [plugin_detectors.pair(each, runner, around.patience) for each in made]
    return Plugged(tuple(pairs), tuple(runners))


def _read(path: Path) -> PluginFile:
    refusal = scripts.untrusted(str(path))
    if refusal:
        raise PluginFileError(refusal)
    with path.open("rb") as file:
        return plugin_files.parsed(file.read(_LARGEST))


def _conditions(path: Path, file: PluginFile, known: Iterable[Pair]) -> list[Condition]:
    """Return the conditions of a file; ``PluginFileError`` where a name is another's already."""
    detectors = [detector for _, detector in known]
    conditions = {each.condition: each.name for each in detectors}
    reasons = {reason.name: each.name for each in detectors for reason in each.reasons}
    made = []
    for kind, checks in _grouped(file).items():
        if kind in conditions:
            raise PluginFileError(f"{kind} is the condition of {conditions[kind]} already")
        for check in checks:
            name = check.reason.name
            if name in reasons:
                raise PluginFileError(f"{name} is a reason of {reasons[name]}: name it otherwise")
        reasons |= dict.fromkeys((check.reason.name for check in checks), kind)
        made.append(Condition(_snake(kind), kind, path.name, tuple(checks)))
    plugins = sum(name.startswith("plugin_") for name in conditions.values())
    if plugins + len(made) > _MOST:
        raise PluginFileError(f"plugins have more than {_MOST} conditions: leave some out")
    return made


def _grouped(file: PluginFile) -> dict[str, list[Check]]:
    """Return the rules by condition.

    A temporary rule that tells the reason of a permanent one goes with it; one that runs the very
    same program besides would only run it twice.
    """
    permanent = {rule.reason: rule for rule in file.rules if rule.type == "permanent"}
    programs = {(r.reason, r.path, r.args) for r in file.rules if r.type == "permanent"}
    groups: dict[str, list[Check]] = defaultdict(list)
    for index, rule in enumerate(file.rules):
        decides = rule.type == "permanent"
        if not decides and (rule.reason, rule.path, rule.args) in programs:
            continue
        told = rule if decides else permanent.get(rule.reason)
        kind = _named(file.source) if told is None else told.condition.removesuffix("Problem")
        kind = kind if kind.endswith("Healthy") else f"{kind}Healthy"
        groups[kind].append(_check(file, index, rule))
    return groups


def _check(file: PluginFile, index: int, rule: Rule) -> Check:
    severity = Severity.WARNING if rule.type == "permanent" else Severity.INFO
    path = str(Path(rule.path).absolute())
    script = Script(path, rule.args, file.timeout(rule))
    return Check(
        plugin=Plugin(f"rules.{index}", script, file.interval(rule)),
        reason=Reason(rule.reason, severity, f"The plugin {path} reports trouble"),
        permanent=rule.type == "permanent",
        most=file.defaults.max_output_length,
    )


def _broken(path: Path, why: str) -> Pair:
    kind = f"PluginFile{_named(path.stem)}Healthy"
    return plugin_detectors.broken(_snake(kind), kind, str(path), why)


def _named(text: str) -> str:
    """Return a name for a condition: ``ntp-monitor`` becomes ``NtpMonitor``."""
    parts = re.findall("[A-Za-z0-9]+", text)
    name = "".join(part[0].upper() + part[1:] for part in parts)[:40]
    return name if name[:1].isalpha() else f"Plugin{name}"


def _snake(kind: str) -> str:
    """Return the name of the detector: ``NTPHealthy`` becomes ``plugin_ntp``."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z]|$)|[A-Z]?[a-z0-9]+|[A-Z0-9]+", kind)
    return "_".join(["plugin", *(word.lower() for word in words if word != "Healthy")])
