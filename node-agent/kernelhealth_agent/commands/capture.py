"""``capture``: record what detectors read of this machine, to look at it elsewhere and again."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from kernelhealth_agent import (
    attribution,
    catalogue,
    errors,
    identity,
    inventory,
    moments,
    state,
    thresholds,
)
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_HEALTHY
from kernelhealth_agent.examination import Examiner, Knowledge
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recording import RecordingHost
from kernelhealth_agent.hosts.recordings import write
from kernelhealth_agent.kernel import masking
from kernelhealth_agent.reporters.progress import Progress
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.survey import Surveyor
from kernelhealth_agent.workers import Workers

_DEADLINE = 60.0
_KEY = 32
_MOST_BYTES = 1 << 18


def execute(asked: argparse.Namespace) -> int:
    """Look once, write down all that was read, and say what came of it."""
    target = Path(asked.to)
    try:
        if target.exists() and any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty: name a directory that does not exist")
        pairs = catalogue.chosen(catalogue.every(), asked.detectors)
        host, began = RecordingHost(LiveHost("/")), moments.now()
        known = _known(host, Path(asked.state))
        for line in _looked(host, pairs, known):
            sys.stdout.write(f"{line}\n")
        recording = host.recording(began, known.memories)
        if asked.mask:
            recording = masking.masked(recording, os.urandom(_KEY), os.uname().nodename)
        write(recording, target)
    except (OSError, errors.HostError, catalogue.NoSuchDetectorError) as error:
        sys.stderr.write(f"kernelhealth-agent capture: {error}\n")
        return EXIT_BLIND
    sys.stdout.write(_farewell(asked))
    return EXIT_HEALTHY


def _known(host: RecordingHost, directory: Path) -> Knowledge:
    """Return what the agent of this machine remembers, trends among it; nothing without one."""
    boot = identity.identify(host).boot_id
    return state.load(directory, boot or "").knowledge


def _looked(host: RecordingHost, pairs: tuple[catalogue.Pair, ...], known: Knowledge) -> list[str]:
    surveyor = Surveyor(attribution.Places(), every=0.0)
    rounds = Rounds(host, pairs, Workers(host.doing), _DEADLINE)
    who = identity.identify(host)
    examiner = Examiner(rounds, surveyor, inventory.remember, who, "capture", _MOST_BYTES)
    chosen = thresholds.in_force(rounds.detectors, {})
    with Progress(sys.stderr, time.monotonic) as progress:
        rounds.notice = lambda name: progress.say(f"recording {name}")
        status = examiner.examine(known, chosen, moments.now()).status
    return [f"{c.type}: {c.status} ({c.reason}) {c.message}" for c in status.conditions]


def _farewell(asked: argparse.Namespace) -> str:
    again = f"Look at it with: kernelhealth-agent scan --root {asked.to}\n"
    if asked.mask:
        return (
            f"Recorded to {asked.to}, with other addresses and other names of pods, links and "
            "mounts. Names of processes, devices and container ids stay, and what the kernel "
            "logged but for addresses and names of machines: read it before you give it away. "
            f"{again}"
        )
    return (
        f"Recorded to {asked.to}. Read through it before you give it away: it has names of pods, "
        f"addresses and whatever else was read; --mask replaces them. {again}"
    )
