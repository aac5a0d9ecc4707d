"""``kubectl kernelhealth``: asks, and prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_kubectl import arguments, connection
from kernelhealth_kubectl.complaints import EXIT_DONE, EXIT_UNUSABLE, ComplaintError
from kernelhealth_kubectl.connection import Choice
from kernelhealth_kubectl.pages import chains, explanation, overview, treatment
from kernelhealth_kubectl.patches import Patch
from kernelhealth_kubectl.verbs import explain, pauses, show, treatments
from kernelhealth_kubectl.verbs import overview as listing
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.errors import OperatorError

_DECISIONS = {
    "approve": Decision.APPROVED,
    "reject": Decision.REJECTED,
    "cancel": Decision.CANCELLED,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    asked = arguments.parser().parse_args(argv)
    # What libraries warn of, such as one of several kubeconfigs that is not there, is no news here.
    logging.basicConfig(level=logging.ERROR)
    try:
        asyncio.run(_run(asked))
        sys.stdout.flush()
    except (ComplaintError, OperatorError) as error:
        sys.stderr.write(f"{arguments.PROGRAM} {asked.verb}: {error}\n")
        return error.code if isinstance(error, ComplaintError) else EXIT_UNUSABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has read enough; what is still buffered shall not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return EXIT_DONE


async def _run(asked: argparse.Namespace) -> None:
    choice = Choice(asked.kubeconfig, asked.context)
    async with connection.connected(choice, os.environ, Path.home()) as session:
        if asked.verb in {"explain", "list", "show"}:
            lines, data = await _looked(session, asked)
            _print(lines, data, asked.output)
        else:
            await _carry_out(session, await _meant(session, asked), asked, choice)


async def _looked(
    session: ApiSession, asked: argparse.Namespace
) -> tuple[Iterator[str], dict[str, Any]]:
    now = datetime.now(UTC)
    match asked.verb:
        case "explain":
            told = await explain.explained(session, asked.node)
            return explanation.lines(told), chains.data(told)
        case "list":
            seen = await listing.overview(session, now, everything=asked.all)
            return overview.lines(seen), overview.data(seen)
        case _:
            one = await show.shown(session, asked.name, now)
            return treatment.lines(one), treatment.data(one)


async def _meant(session: ApiSession, asked: argparse.Namespace) -> list[Patch | str]:
    if asked.verb in _DECISIONS:
        why = f"{await _who(session, asked)}: {asked.because}" if asked.because else None
        said = treatments.Said(asked.name, _DECISIONS[asked.verb], why)
        return [await treatments.decided(session, said)]
    scope = pauses.Scope(tuple(asked.nodes), tuple(asked.policy), asked.all)
    if scope == pauses.Scope():
        raise ComplaintError("say what: nodes by name, --policy NAME, or --all for every policy")
    who = await _who(session, asked)
    if asked.verb == "pause":
        return await pauses.paused(session, scope, who, asked.because)
    return await pauses.resumed(session, scope, who, everybody=asked.everybody)


async def _who(session: ApiSession, asked: argparse.Namespace) -> str:
    return asked.by or await connection.user(session)


async def _carry_out(
    session: ApiSession,
    outcomes: Iterable[Patch | str],
    asked: argparse.Namespace,
    choice: Choice,
) -> None:
    for each in outcomes:
        if isinstance(each, str):
            sys.stdout.write(f"{each}\n")
        elif asked.dry_run:
            sys.stdout.write(f"{each.command(choice.flags())}\n")
        else:
            await each.send(session)
            sys.stdout.write(f"{each.kind}/{each.name} {each.done}\n")


def _print(lines: Iterable[str], data: dict[str, Any], output: str) -> None:
    if output == "json":
        json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        for line in lines:
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
