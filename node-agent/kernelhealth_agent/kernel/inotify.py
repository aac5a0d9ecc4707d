"""Inotify instances and watches by user: fs/notify/inotify/inotify_user.c, kernel/ucount.c."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kernelhealth_agent import errors


@dataclass(frozen=True, slots=True)
class Share:
    """What one process has."""

    pid: int
    instances: int
    watches: int


@dataclass(frozen=True, slots=True)
class User:
    """What a user has at least, and the processes with most instances and most watches."""

    uid: int
    instances: int
    watches: int
    most_instances: Share
    most_watches: Share


def users(answer: bytes, path: str) -> tuple[tuple[User, ...], bool]:
    """Decode who has how much, and whether all processes could be asked.

    The answer is ``{"whole": true, "processes": [[uid, pid, instances, watches], …]}``; raises
    ``UnreadableError`` for anything else.
    """
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error
    rows = said.get("processes") if isinstance(said, dict) else None
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise errors.UnreadableError(path, "'processes' is no list of four numbers each")
    by_uid: dict[int, list[Share]] = defaultdict(list)
    for uid, pid, instances, watches in rows:
        by_uid[uid].append(Share(pid, instances, watches))
    return tuple(_user(uid, shares) for uid, shares in sorted(by_uid.items())), bool(
        said.get("whole")
    )


def _user(uid: int, shares: Iterable[Share]) -> User:
    every = list(shares)
    return User(
        uid,
        sum(share.instances for share in every),
        sum(share.watches for share in every),
        max(every, key=lambda share: share.instances),
        max(every, key=lambda share: share.watches),
    )


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 4
        and all(type(number) is int and 0 <= number < 1 << 62 for number in row)
    )
