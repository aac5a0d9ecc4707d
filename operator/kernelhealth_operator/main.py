"""The command line, and what kopf calls: each handler hands on at once."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

import kopf
from pydantic import ValidationError

from kernelhealth_api.v1alpha1 import GROUP, VERSION
from kernelhealth_operator import discovery
from kernelhealth_operator.assembly import assemble
from kernelhealth_operator.cluster import access
from kernelhealth_operator.cluster.errors import AccessUnusable
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.errors import OperatorError, PartFailed
from kernelhealth_operator.settings import Settings
from kernelhealth_operator.shell import Shell

_LOGGER = logging.getLogger(__name__)
_EXAMPLE = """\
settings are environment variables, for example outside a cluster, changing no Node:

  KERNELHEALTH_KUBECONFIG=~/.kube/config KERNELHEALTH_DRY_RUN=true kernelhealth-operator run

each of them: python -m pydoc kernelhealth_operator.settings
"""


class _Backoffs:
    """Seconds between kopf's tries of one request: an outage of any length is waited for."""

    def __iter__(self) -> Iterator[float]:
        yield from (1.0, 2.0, 3.0, 5.0)
        while True:
            yield 10.0


def kopf_settings() -> kopf.OperatorSettings:
    """Lets kopf watch the two kinds with few objects, and write nothing at all."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP, v1=False)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP, v1=False)
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 10.0
    settings.watching.server_timeout = 300  # An integer: it goes into the query as it is written.
    settings.watching.client_timeout = 310.0
    settings.watching.reconnect_backoff = 1.0
    return settings


def attach(
    registry: kopf.OperatorRegistry, shell: Shell, way: access.Access, stop: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Registers what kopf is to call; *stop* is set when the shell ends by itself.

    All are coroutines: kopf runs plain functions in threads, and the fleet belongs to the loop.
    Returns where the shell's task will be: how it ended is for the caller to look at, since kopf
    would try a clean-up that fails again and again.
    """
    running: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry)
    async def login(**arguments: Any) -> Any:
        if shell.settings.kubeconfig is not None:
            return kopf.login_with_kubeconfig(**arguments)
        # By address: kopf's own way asks the cluster's DNS, which may be what is broken.
        return kopf.ConnectionInfo(
            server=way.server,
            ca_path=str(access.SERVICE_ACCOUNT / "ca.crt"),
            scheme="Bearer",
            token=(way.credentials.header() or "").removeprefix("Bearer "),
        )

    @kopf.on.startup(registry=registry)
    async def begin(**_: Any) -> None:
        running.append(asyncio.create_task(shell.run()))
        running[0].add_done_callback(lambda _: stop.set())

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        running[0].cancel()
        await asyncio.wait(running)

    @kopf.on.probe(registry=registry, id="alive", errors=kopf.ErrorsMode.PERMANENT)
    async def alive(**_: Any) -> str:
        wrong = " ".join(shell.complaints())
        if wrong:
            raise kopf.PermanentError(wrong)
        return "ok"

    @kopf.on.event(GROUP, VERSION, "kernelhealthpolicies", registry=registry)
    async def policy(event: Any, **_: Any) -> None:
        shell.feeds.policy(event["type"], event["object"])

    @kopf.on.event(GROUP, VERSION, "noderemediations", registry=registry)
    async def remediation(event: Any, **_: Any) -> None:
        shell.feeds.treatment(event["type"], event["object"])

    return running


async def operate(settings: Settings) -> None:
    """Runs until a signal; raises what made it impossible to go on."""
    if settings.kubeconfig is None:
        way = access.from_service_account(os.environ)
    else:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # kopf reads no other place.
        way = await access.from_kubeconfig(settings.kubeconfig)
    async with ApiSession(way, user_agent="kernelhealth-operator") as session:
        await discovery.installed(session)
        shell, stop, registry = (
            assemble(settings, session),
            asyncio.Event(),
            kopf.OperatorRegistry(),
        )
        running = attach(registry, shell, way, stop)
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            # Its own guess asks for the name of the user, which a container need not have.
            identity=cast("Any", settings.identity),
            clusterwide=True,
            liveness_endpoint=f"http://{settings.liveness_host}:{settings.liveness_port}/healthz",
            stop_flag=stop,
        )
        for task in running:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise PartFailed.because(error) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``kernelhealth-operator``; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="kernelhealth-operator",
        description="Treats nodes whose kernel is quietly failing, by policy.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=["run"], help="run: until SIGTERM or SIGINT")
    parser.parse_args(arguments)
    try:
        settings = Settings()
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )
        for name in ("kopf", "aiohttp.access"):
            # A line for each event and each probe: nothing that anybody needs.
            logging.getLogger(name).setLevel(logging.WARNING)
        asyncio.run(operate(settings))
    except (ValidationError, AccessUnusable, OperatorError) as error:
        sys.stderr.write(f"kernelhealth-operator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
