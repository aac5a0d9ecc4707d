"""The agent's memory on disk: it survives a restart of the agent, and is void after a boot."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from kernelhealth_agent.examination import Knowledge

MOST_BYTES = 1 << 20
_FILE = "state.json"
_LOGGER = logging.getLogger(__name__)


class State(BaseModel):
    """All that is worth keeping, with the boot it is about; *spec* is the last one known."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    boot_id: str
    knowledge: Knowledge
    spec: dict[str, Any] = {}


_STATE: Final = TypeAdapter(State)


def load(directory: Path, boot_id: str) -> State:
    """Return what was saved during this boot; an empty state when there is nothing of use.

    Without a boot id nobody can tell which boot it was, so that nothing is of use.

    A file that cannot be understood is said in the log and replaced at the next save.
    """
    path = directory / _FILE
    empty = State(boot_id=boot_id, knowledge=Knowledge())
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
        # What is cut off at the limit is no JSON any more.
        state = _STATE.validate_json(content)
    except FileNotFoundError:
        return empty
    except (OSError, ValidationError) as error:
        why = str(error).splitlines()[0]
        _LOGGER.warning("State file was discarded, starting anew: path=%s why=%s", path, why)
        return empty
    if not boot_id or state.boot_id != boot_id:
        _LOGGER.info("State of an earlier boot was discarded: boot=%s", state.boot_id)
        return empty
    return state


def save(directory: Path, state: State) -> None:
    """Write the state whole or not at all; ``OSError`` where that is not possible.

    The file goes with the boot, so nothing is gained by syncing it.
    """
    content = _bounded(state)
    temporary = directory / f".{_FILE}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(directory / _FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _bounded(state: State) -> bytes:
    """Return the state as JSON; where it is too large, without the older half of the namespaces.

    Confirmation is bounded by itself, the memory of namespaces by number, not by length of names.
    """
    content = _STATE.dump_json(state)
    while len(content) > MOST_BYTES and state.knowledge.namespaces:
        newest = sorted(
            state.knowledge.namespaces.values(), key=lambda past: past.seen, reverse=True
        )[: len(state.knowledge.namespaces) // 2]
        kept = Knowledge(
            {past.inode: past for past in newest},
            state.knowledge.watches,
            state.knowledge.conditions,
        )
        state = state.model_copy(update={"knowledge": kept})
        content = _STATE.dump_json(state)
    return content
