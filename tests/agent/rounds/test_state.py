from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import state
from kernelhealth_agent.confirmation import Sighting, Watch
from kernelhealth_agent.examination import Knowledge
from kernelhealth_agent.kernel.namespaces import Pod, Remembered
from kernelhealth_agent.moments import Moment
from kernelhealth_api.v1alpha1.resource import Condition

WALL = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
START = Moment(WALL, 1234.5)


def knowledge(pods: int = 1, name: str = "cart") -> Knowledge:
    pod = Pod("shop", name, "uid", "cgroup")
    return Knowledge(
        {inode: Remembered(inode, 3, pod, "box", WALL) for inode in range(pods)},
        {"leaks": Watch(START, {"Leaked/a": Sighting(START, 2)})},
        {"C": Condition(type="C", status="True", reason="R", last_transition_time=WALL)},
    )


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    saved = state.State(boot_id="b", knowledge=knowledge(), spec={"policy": "workers"})

    state.save(tmp_path, saved)

    loaded = state.load(tmp_path, "b")
    assert loaded.spec == {"policy": "workers"}
    assert loaded.knowledge.namespaces == saved.knowledge.namespaces
    assert loaded.knowledge.watches == saved.knowledge.watches
    assert loaded.knowledge.conditions["C"].last_transition_time == WALL.replace(microsecond=0)


def test_nothing_saved_is_nothing_known(tmp_path: Path) -> None:
    assert state.load(tmp_path, "b") == state.State(boot_id="b", knowledge=Knowledge())


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"boot_id": 3}', b'{"boot_id":"b","knowledge":{"watches":7}}',
     b"{" + b" " * (state.MOST_BYTES + 9) + b"}"],
    ids=["empty", "torn", "bytes", "list", "number", "wrong part", "too large"],
)  # fmt: skip
def test_a_file_of_garbage_is_said_and_begun_anew(
    tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state.json").write_bytes(garbage)

    with caplog.at_level(logging.WARNING):
        loaded = state.load(tmp_path, "b")

    assert loaded.knowledge == Knowledge()
    assert "State file was discarded" in caplog.text


def test_a_state_that_is_too_large_forgets_namespaces_first(tmp_path: Path) -> None:
    saved = state.State(boot_id="b", knowledge=knowledge(pods=4096, name="x" * 250))

    state.save(tmp_path, saved)

    assert (tmp_path / "state.json").stat().st_size <= state.MOST_BYTES
    loaded = state.load(tmp_path, "b").knowledge
    assert 0 < len(loaded.namespaces) < 4096
    assert loaded.watches == saved.knowledge.watches


def test_a_save_that_fails_leaves_the_former_state(tmp_path: Path) -> None:
    state.save(tmp_path, state.State(boot_id="b", knowledge=knowledge()))
    (tmp_path / ".state.json.new").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"state\.json"):
        state.save(tmp_path, state.State(boot_id="b", knowledge=Knowledge()))

    assert state.load(tmp_path, "b").knowledge.namespaces
    assert not (tmp_path / "elsewhere").exists()
