"""The operator as a process of its own, as its container starts it."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernelhealth_e2e import ports, processes
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.processes import Command, Process

_READY_SECONDS = 60.0
_TREE = Path(__file__).parents[2]
_PATHS = ("crds", "node-agent", "operator")


@dataclass(frozen=True, slots=True)
class Operator:
    """A running operator; *metrics* and *health* are what it serves."""

    process: Process
    metrics: str
    health: str

    def kill(self) -> None:
        """Ends it without a word, as a node that loses power does."""
        self.process.signal(signal.SIGKILL)
        self.process.popen.wait()

    def pause(self) -> None:
        """Stops it in the middle of whatever it does."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self.process.signal(signal.SIGCONT)

    def log(self) -> str:
        """What it has logged."""
        return self.process.command.log.read_text(encoding="utf-8")

    def scrape(self) -> dict[str, float]:
        """Its metrics by name and labels, as they stand in the text."""
        lines = _get(self.metrics).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def writes(self) -> dict[str, float]:
        """How many writes of which kind it has sent."""
        start, end = 'kernelhealth_writes_total{what="', '"}'
        return {
            name.removeprefix(start).removesuffix(end): value
            for name, value in self.scrape().items()
            if name.startswith(start)
        }

    def alive(self) -> bool:
        """Whether its liveness probe is answered with 200."""
        try:
            _get(self.health)
        except OSError:
            return False
        return True


def launch(kubeconfig: Path, directory: Path, name: str = "one", **settings: str) -> Operator:
    """An operator that was started and may not be alive yet; whoever starts it ends it."""
    metrics, health = ports.free(2)
    environ = _environ(
        {
            "kubeconfig": str(kubeconfig),
            "identity": name,
            "namespace": "default",
            "metrics_host": "127.0.0.1",
            "metrics_port": str(metrics),
            "liveness_host": "127.0.0.1",
            "liveness_port": str(health),
            "lease_duration": "4s",
            "renew_deadline": "3s",
            "retry_period": "300ms",
            "status_period": "100ms",
            **settings,
        }
    )
    argv = (sys.executable, "-m", "kernelhealth_operator.main", "run")
    process = processes.start(Command(f"operator-{name}", argv, directory / f"{name}.log", environ))
    return Operator(
        process, f"http://127.0.0.1:{metrics}/metrics", f"http://127.0.0.1:{health}/healthz"
    )


@contextmanager
def operator(
    kubeconfig: Path, directory: Path, name: str = "one", **settings: str
) -> Iterator[Operator]:
    """An operator named *name* that is alive; *settings* in lower case, as in its settings.

    At the end it is asked to go; that it does not go cleanly, or has logged a traceback, is an
    error.
    """
    running = launch(kubeconfig, directory, name, **settings)
    process = running.process
    try:
        process.await_ready(running.alive, _READY_SECONDS)
        yield running
    finally:
        process.stop(grace=20.0)
    _expect_clean(running)


def _expect_clean(running: Operator) -> None:
    text, status = running.log(), running.process.popen.returncode
    if "Traceback" in text or status not in {0, -signal.SIGKILL}:
        raise ProcessError(f"the operator ended with {status} and logged:\n{text[-6000:]}")


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    paths = os.pathsep.join(str(_TREE / path) for path in _PATHS)
    return {
        **os.environ,
        "PYTHONPATH": paths,
        **{f"KERNELHEALTH_{key.upper()}": value for key, value in settings.items()},
    }


def _get(url: str) -> str:
    # One that is busy with a thousand nodes may be slow to answer, and one that ends is heard of.
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - loopback, our own
        return str(answer.read().decode())
