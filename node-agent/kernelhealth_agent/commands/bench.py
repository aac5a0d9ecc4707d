"""``bench``: what rounds cost on this machine, in time, processor time and memory."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from kernelhealth_agent import attribution, catalogue, errors, looking, moments, thresholds
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_HEALTHY
from kernelhealth_agent.examination import Knowledge
from kernelhealth_agent.looks import Round
from kernelhealth_agent.survey import Surveyor

_DEADLINE = 300.0


def execute(asked: argparse.Namespace) -> int:
    """Make rounds and print what they cost; 2 when one of them could not look."""
    try:
        pairs = catalogue.chosen(catalogue.every(), asked.detector)
        host = looking.host_at("/")
    except (catalogue.NoSuchDetectorError, errors.HostError) as error:
        sys.stderr.write(f"kernelhealth-agent bench: {error}\n")
        return EXIT_BLIND
    every = 0.0 if asked.thorough else looking.THOROUGH_EVERY
    examiner = looking.examiner(host, pairs, Surveyor(attribution.Places(), every), _DEADLINE)
    chosen = thresholds.in_force(examiner.rounds.detectors, {})
    knowledge, rounds = Knowledge(), []
    for _ in range(asked.rounds):
        outcome = examiner.examine(knowledge, chosen, moments.now())
        knowledge = outcome.knowledge
        rounds.append(outcome.round)
    figures = measured(rounds)
    if asked.output == "json":
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _table(figures)))
    for name, why in figures["failures"].items():
        sys.stderr.write(f"{name} could not look: {why}\n")
    return EXIT_BLIND if rounds[-1].inventory is None else EXIT_HEALTHY


def measured(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of some rounds: medians, the largest memory, and what was looked at."""
    last = rounds[-1]
    return {
        "rounds": len(rounds),
        "seconds": round(statistics.median(made.seconds for made in rounds), 4),
        "cpuSeconds": round(statistics.median(made.cpu_seconds for made in rounds), 4),
        "maxRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "sizes": _sizes(last),
        "detectors": {
            look.detector.name: round(
                statistics.median(made.looks[index].seconds for made in rounds), 4
            )
            for index, look in enumerate(last.looks)
        },
        "failures": {
            look.detector.name: look.failure.message for look in last.looks if look.failure
        },
    }


def _sizes(made: Round) -> dict[str, int]:
    seen = made.inventory
    if seen is None:
        return {}
    return {
        "processes": seen.processes,
        "namespaces": len(seen.namespaces),
        "namespaceIds": len(seen.nsids),
        "links": len(seen.links),
        "pods": len(seen.pods),
    }


def _table(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"rounds        {figures['rounds']}",
        f"seconds       {figures['seconds']:.4f} (median)",
        f"cpuSeconds    {figures['cpuSeconds']:.4f} (median)",
        f"maxRssBytes   {figures['maxRssBytes']} ({figures['maxRssBytes'] >> 20} MiB)",
    ]
    lines += [f"{name:13} {size} seen" for name, size in figures["sizes"].items()]
    lines += [f"{name:24} {cost:.4f} s" for name, cost in figures["detectors"].items()]
    return lines
