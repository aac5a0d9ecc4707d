"""The agent's memory on disk: it survives a restart of the agent, and is void after a boot."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from kernelhealth_agent.examination import Knowledge

MOST_BYTES = 1 << 20
MOST_MEMORY = 1 << 18
"""Bytes of the memory of one source that are kept even where the state is too large."""
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
    """Return the state as JSON; where it is too large, without what is largest of its memory.

    Confirmation is bounded by itself, the memory of namespaces by number, not by length of names.
    """
    content = _STATE.dump_json(state)
    while len(content) > MOST_BYTES and (state.knowledge.memories or state.knowledge.namespaces):
        state = state.model_copy(update={"knowledge": _lighter(state.knowledge)})
        content = _STATE.dump_json(state)
    return content


def _lighter(knowledge: Knowledge) -> Knowledge:
    """Return the knowledge without the largest memory of a source, or half of the namespaces."""
    sizes = {name: len(to_json(memory)) for name, memory in knowledge.memories.items()}
    largest = max(sizes, key=sizes.__getitem__, default=None)
    if largest is not None and sizes[largest] > MOST_MEMORY:
        memories = {name: kept for name, kept in knowledge.memories.items() if name != largest}
        return dataclasses.replace(knowledge, memories=memories)
    if not knowledge.namespaces:
        return dataclasses.replace(knowledge, memories={})
    newest = sorted(knowledge.namespaces.values(), key=lambda past: past.seen, reverse=True)
    kept = newest[: len(newest) // 2]
    return dataclasses.replace(knowledge, namespaces={past.inode: past for past in kept})
