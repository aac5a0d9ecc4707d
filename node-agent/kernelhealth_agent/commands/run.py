"""``run``: the agent of a node, until it is told to stop."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType

from pydantic import ValidationError

from kernelhealth_agent import (
    attribution,
    catalogue,
    errors,
    looking,
    moments,
    plugins,
    practice,
    state,
)
from kernelhealth_agent.apiserver import ApiServer
from kernelhealth_agent.arguments import EXIT_BLIND, EXIT_HEALTHY
from kernelhealth_agent.conversation import Conversation
from kernelhealth_agent.delivery import Delivery, outbox
from kernelhealth_agent.examination import Examiner
from kernelhealth_agent.hosts.events import KernelEvents
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.patrol import Equipment, Listener, Patrol
from kernelhealth_agent.reporters import prometheus
from kernelhealth_agent.settings import Settings
from kernelhealth_agent.survey import Surveyor

_LOGGER = logging.getLogger(__name__)
_MINUTE, _PATIENCE = 60.0, 1.0


class UnusableError(Exception):
    """The settings do not make an agent; the message says what to change."""


def execute(_: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; 2 when it could not even start."""
    try:
        settings = Settings()
        _log(settings.log_level)
        _run(settings)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_context=False):
            name = f"KERNELHEALTH_{'_'.join(map(str, wrong['loc'])).upper()}"
            sys.stderr.write(f"kernelhealth-agent run: {name}: {wrong['msg']}\n")
        return EXIT_BLIND
    except (UnusableError, plugins.NoPluginsError, errors.HostError, OSError) as error:
        sys.stderr.write(f"kernelhealth-agent run: {error}\n")
        return EXIT_BLIND
    return EXIT_HEALTHY


def server_of(settings: Settings, environment: Mapping[str, str]) -> ApiServer | None:
    """Return the API server to report to; None where there is none, and metrics have to do.

    Raises ``UnusableError`` where there is one and the node has no name.
    """
    url = settings.api_server
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    if url is None and host:
        url = f"https://{f'[{host}]' if ':' in host else host}:{port or 443}"
    if url is None:
        return None
    if settings.node_name is None:
        raise UnusableError(
            "KERNELHEALTH_NODE_NAME is not set: give the name of the Node, as the DaemonSet does "
            "from spec.nodeName"
        )
    return ApiServer(url, settings.service_account, settings.node_name)


def _run(settings: Settings) -> None:
    server = server_of(settings, os.environ)
    settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    surveyor = Surveyor(
        attribution.Places(settings.kubelet_pods, settings.pod_logs), looking.THOROUGH_EVERY
    )
    deadline = settings.deadline.total_seconds()
    plugged = _plugged(settings)
    pairs = (*catalogue.every(), *plugged.pairs)
    if settings.look_inside_by_device:
        pairs = catalogue.opening(pairs)
    examiner = looking.examiner(_host(settings), pairs, surveyor, deadline)
    with contextlib.ExitStack() as ends:
        ends.callback(plugged.close)
        talk = _conversation(settings, server, examiner, ends)
        results = dict[str, int] if talk is None else talk.results
        scrape = prometheus.Scrape(lambda: examiner.rounds.workers.abandoned, results)
        events = ends.enter_context(KernelEvents(settings.root))
        _greet(settings, ends.enter_context(_served(scrape, settings)), reports=server is not None)
        period = settings.period.total_seconds()
        examiner.rounds.haste = min(1.0, period / _MINUTE)
        directory, share = settings.run_dir, settings.cpu_share
        equipment = Equipment(
            examiner, surveyor, events, moments.now, directory, period, share=share
        )
        _patrol(equipment, scrape.hear, talk)
    _LOGGER.info("Agent was stopped")


def _plugged(settings: Settings) -> plugins.Plugged:
    """Return the plugins, if there are any; a round hardly waits for them."""
    environment = plugins.environment(settings.root, settings.node_name)
    around = plugins.Surroundings(catalogue.every(), environment, _PATIENCE)
    return plugins.plugged(settings.plugin_dir, around)


def _host(settings: Settings) -> looking.AnyHost:
    host = looking.host_at(settings.root)
    if not isinstance(host, LiveHost):
        raise UnusableError(
            f"KERNELHEALTH_ROOT is {settings.root}, where no /proc is mounted: mount the host's / "
            "there, with what is mounted below it"
        )
    return host


@contextlib.contextmanager
def _served(scrape: prometheus.Scrape, settings: Settings) -> Iterator[str]:
    """Serve the metrics; a port that somebody else has is no reason to look at nothing."""
    address = settings.metrics_address
    with contextlib.ExitStack() as ends:
        serving = prometheus.serving(scrape, address, settings.metrics_port)
        try:
            port = ends.enter_context(serving)
        except OSError as error:
            where = f"{address}:{settings.metrics_port}"
            _LOGGER.error("Metrics were not served: address=%s why=%s", where, error)  # noqa: TRY400
            yield "none"
        else:
            yield f"{address}:{port}"


def _greet(settings: Settings, metrics: str, *, reports: bool) -> None:
    _LOGGER.info(
        "Agent was started: node=%s root=%s metrics=%s reports=%s",
        *(settings.node_name, settings.root, metrics, reports),
    )
    for sentence in looking.lacking():
        _LOGGER.warning("Agent was started without a capability: %s", sentence)


def _conversation(
    settings: Settings, server: ApiServer | None, examiner: Examiner, ends: contextlib.ExitStack
) -> Conversation | None:
    """Return the conversation with the operator; None where there is nobody to talk to."""
    if server is None:
        return None
    refresh, spread = settings.refresh_period, settings.first_report_spread
    waiting = outbox(refresh.total_seconds(), spread.total_seconds())
    news = ends.enter_context(KernelEvents(settings.root))
    host, boot_id = examiner.rounds.host, examiner.identity.boot_id
    opened = practice.opened(settings, host, boot_id, news.wait)
    return Conversation(server, Delivery(server, waiting), opened)


def _patrol(equipment: Equipment, scrape: Listener, talk: Conversation | None) -> None:
    """Go round until a signal comes."""
    remembered = state.load(equipment.directory, equipment.examiner.identity.boot_id or "")
    listeners = [scrape] if talk is None else [scrape, talk.hear]
    patrol = Patrol(equipment, remembered, listeners)

    def stop(number: int, _: FrameType | None) -> None:
        _LOGGER.info("Agent was asked to stop: signal=%s", signal.Signals(number).name)
        patrol.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with contextlib.nullcontext() if talk is None else talk.running(patrol):
        patrol.run()


def _log(level: str) -> None:
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
