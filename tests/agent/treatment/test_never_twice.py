"""Whatever kills the agent, and whatever is on its disk: nothing is done a second time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent.attendance import Attendance
from kernelhealth_agent.entries import Beginning, Line
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.moments import now
from kernelhealth_api.v1alpha1.request import RequestState, RequestStatus
from kernelhealth_e2e.treatment.ward import BOOT, Ward, request, seen

PATIENCE = 300.0


def casualties(directory: Path, kind: str) -> list[dict[str, Any]]:
    """Run the program that is killed at every step, and return what it found each time."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-m", "kernelhealth_e2e.treatment.casualty", str(directory), kind]
    ended = subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_fix_is_done_at_most_once_wherever_the_agent_is_killed(tmp_path: Path) -> None:
    found = casualties(tmp_path, "fix")

    # Begun, four deeds, each noted before and after, the end: open, write and fsync of each.
    assert len(found) > 40
    assert [case["killed"] for case in found] == [True] * (len(found) - 1) + [False]
    for case in found:
        assert case["again"] == 0
        for lines in case["after"].values():
            assert max(Counter(lines).values(), default=0) <= 1, case
        assert case["first"] == case["second"], "the answer of an id never changes"
        if case["before"] != case["after"]:
            # Only where it was killed before it had begun at all is anything done afterwards.
            assert case["before"] == {"a": [], "b": []}
            assert case["first"]["state"] == "Succeeded"


def test_what_was_interrupted_is_judged_by_looking_at_it(tmp_path: Path) -> None:
    found = casualties(tmp_path, "fix")

    for case in found:
        whole = case["after"] == {"a": ["1", "2"], "b": ["1", "2"]}
        assert (case["first"]["state"] == "Succeeded") <= whole, case
        # Where the beginning was not written whole, nobody can say what it was to achieve.
        assert not whole or case["first"]["state"] == "Succeeded", case


def test_a_reboot_is_asked_for_at_most_once_wherever_the_agent_is_killed(tmp_path: Path) -> None:
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as hook:
        hook.bind(str(tmp_path / "hook.sock"))
        hook.listen()
        thread = threading.Thread(target=_answer, args=(hook, asked), daemon=True)
        thread.start()
        found = casualties(tmp_path, "reboot")
        hook.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)

    assert len(found) > 12
    # Each case is a host of its own: none of them was asked more than once.
    assert len(asked) <= len(found)
    states = [case["first"]["state"] for case in found]
    assert states[0] == states[-1] == "Running"
    assert set(states) == {"Running", "Failed"}


def _answer(hook: socket.socket, asked: list[str]) -> None:
    while True:
        try:
            connection, _ = hook.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb") as stream:
            asked.append(stream.readline().decode())
            stream.write(b"ok\n")
            try:
                stream.flush()
            except OSError:  # Whoever asked was killed meanwhile.
                continue


LINES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda doing, did: Line(doing=doing, did=did).model_dump_json().encode(),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    ),
    st.sampled_from(list(RequestState)).map(
        lambda state: Line(ended=RequestStatus(id="id-1", state=state)).model_dump_json().encode()
    ),
    st.sampled_from(["id-1", "id-2"]).map(
        lambda number: (
            Line(begun=Beginning(request=request(number), at=now()))
            .model_dump_json(by_alias=True)
            .encode()
        )
    ),
)


@settings(max_examples=300)
@given(st.lists(LINES, max_size=6).map(b"\n".join), st.booleans())
def test_whatever_is_on_the_disk_about_a_request_it_is_not_done(
    content: bytes,
    recalled: bool,  # noqa: FBT001
) -> None:
    with TemporaryDirectory() as name:
        ward = Ward(Path(name))
        practice = ward.practice()
        (ward.directory / "requests").mkdir()
        (ward.directory / "requests" / "id-1").write_bytes(content)
        if recalled:
            practice.recalled()

        said = Attendance(request("id-1"), seen("a"), practice).conduct(
            lambda _: None, lambda: True
        )

        assert ward.lines("a") == []
        assert said.id == "id-1"
        assert said.state in {RequestState.SUCCEEDED, RequestState.FAILED, RequestState.REFUSED}
        assert practice.recorded(request("id-1")) == said or not said.state.final


@pytest.mark.parametrize("kind", ["directory", "dangling link", "fifo", "unreadable"])
def test_whatever_is_in_the_place_of_an_entry_it_counts_as_begun(tmp_path: Path, kind: str) -> None:
    ward = Ward(tmp_path)
    place = tmp_path / "requests" / "id-1"
    place.parent.mkdir()
    match kind:
        case "directory":
            place.mkdir()
        case "dangling link":
            place.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(place)
        case _:
            place.write_text("")
            place.chmod(0)

    said = Attendance(request("id-1"), seen("a"), ward.practice()).conduct(
        lambda _: None, lambda: True
    )

    assert said.state is RequestState.FAILED
    assert ward.lines("a") == []


def test_without_a_journal_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("no directory")
    ward = Ward(tmp_path)

    with pytest.raises(OSError, match="requests"):
        Attendance(request(), seen("a"), ward.practice()).conduct(lambda _: None, lambda: True)

    assert ward.lines("a") == []


def test_a_journal_that_is_full_forgets_only_what_nobody_can_ask_for_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelhealth_agent.journal.MOST_ENTRIES", 3)
    journal, moment = Journal(tmp_path), now()
    for number in ("id-1", "id-2", "id-3"):
        assert journal.begin(Beginning(request=request(number), at=moment))

    with pytest.raises(OSError, match="may not be forgotten"):
        journal.begin(Beginning(request=request("id-4"), at=moment.after(3600)))
    assert journal.begin(Beginning(request=request("id-4"), at=moment.after(100_000)))

    assert journal.entry("id-1") is None
    assert journal.latest(BOOT) == journal.entry("id-4")
