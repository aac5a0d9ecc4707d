"""What an unprivileged user can put in the place of a mounted namespace, which mountinfo names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.workers import Workers

_DEADLINE = 20.0

Ask = Callable[[LiveHost, str], object]


def _dumped(live: LiveHost, path: str) -> object:
    with pytest.raises(errors.AbsentError):
        live.dump(rtnetlink.links_request(), path)
    return None


def _cookie(live: LiveHost, path: str) -> object:
    with pytest.raises(errors.AbsentError):
        live.cookie(path)
    return None


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda live, path: live.nsids([path]), [None]),
        (lambda live, path: live.inode(path), 0),
        (_dumped, None),
        (_cookie, None),
    ],
    ids=["id", "inode number", "dump", "cookie"],
)
@pytest.mark.parametrize("form", ["fifo", "link to a fifo", "file", "directory"])
def test_nothing_waits_for_what_stands_in_the_place_of_a_namespace(
    live: LiveHost, tmp_path: Path, ask: Ask, answer: object, form: str
) -> None:
    place = tmp_path / "ns"
    if "fifo" in form:
        os.mkfifo(tmp_path / "fifo")
        place.symlink_to("fifo")
    elif form == "file":
        place.touch()
    else:
        place.mkdir()
    if form == "fifo":
        (tmp_path / "fifo").replace(place)
    workers = Workers(live.doing)

    found = workers.call("a look", lambda: ask(live, str(place).lstrip("/")), _DEADLINE)

    assert found == answer
