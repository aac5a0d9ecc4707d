"""A candidate in a process of its own, which a test can stop, wake and kill.

Arguments: kubeconfig, the Lease's name, the candidate's identity. Says ``leading`` and ``lost`` as
it happens. Reads commands, one per line: ``write`` sends a write through the fence and answers
``written`` or ``refused``; ``leave`` ends cleanly.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from kernelhealth_operator.cluster import access, errors
from kernelhealth_operator.cluster.call import MERGE_PATCH
from kernelhealth_operator.cluster.leadership import Leadership
from kernelhealth_operator.cluster.lease import LeaseLock, LeaseTiming
from kernelhealth_operator.cluster.session import ApiSession

TIMING = LeaseTiming(duration=6, renew_deadline=4.0, retry_period=0.5)


async def _work() -> None:
    _say("leading")
    try:
        await asyncio.Event().wait()
    finally:
        _say("lost")


async def _write(session: ApiSession, leadership: Leadership, name: str, identity: str) -> str:
    try:
        await session.request(
            "PATCH",
            f"/api/v1/namespaces/default/configmaps/{name}",
            body={"data": {"writer": identity}},
            content_type=MERGE_PATCH,
            guard=leadership.fence,
        )
    except errors.NotLeader:
        return "refused"
    return "written"


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _main(kubeconfig: Path, name: str, identity: str) -> None:
    commands = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(commands)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with ApiSession(await access.from_kubeconfig(kubeconfig)) as session:
        leadership = Leadership(LeaseLock(session, "default", name, identity, TIMING))
        running = asyncio.create_task(leadership.run(_work))
        while (command := await commands.readline()) == b"write\n":
            _say(await _write(session, leadership, name, identity))
        if command == b"leave\n":
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
