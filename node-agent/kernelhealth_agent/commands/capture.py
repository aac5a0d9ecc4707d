"""``capture``: record what detectors read of this machine, as a fixture for tests."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kernelhealth_agent import (
    attribution,
    catalogue,
    errors,
    identity,
    inventory,
    moments,
    thresholds,
)
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_HEALTHY
from kernelhealth_agent.examination import Examiner, Knowledge
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recording import RecordingHost
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.workers import Workers

_DEADLINE = 60.0


def execute(asked: argparse.Namespace) -> int:
    """Look once, write down all that was read, and say what came of it."""
    target = Path(asked.to)
    try:
        if target.exists() and any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty: name a directory that does not exist")
        pairs = catalogue.chosen(catalogue.every(), asked.detectors)
        host = RecordingHost(LiveHost("/"))
        for line in _looked(host, pairs):
            sys.stdout.write(f"{line}\n")
        host.write(target)
    except (OSError, errors.HostError, catalogue.NoSuchDetectorError) as error:
        sys.stderr.write(f"kernelhealth-agent capture: {error}\n")
        return EXIT_BLIND
    sys.stdout.write(
        f"Recorded to {target}. Read through it before you give it away: it has names of pods, "
        "addresses and whatever else was read.\n"
    )
    return EXIT_HEALTHY


def _looked(host: RecordingHost, pairs: tuple[catalogue.Pair, ...]) -> list[str]:
    surveyor = Surveyor(attribution.Places(), every=0.0)
    rounds = Rounds(host, pairs, Workers(host.doing), _DEADLINE)
    examiner = Examiner(rounds, surveyor, inventory.remember, identity.identify(host), "capture")
    chosen = thresholds.in_force(rounds.detectors, {})
    status = examiner.examine(Knowledge(), chosen, moments.now()).status
    return [f"{c.type}: {c.status} ({c.reason}) {c.message}" for c in status.conditions]
