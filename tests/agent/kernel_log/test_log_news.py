from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelhealth_agent.hosts.log_news import PAUSE, LogNews


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    file = tmp_path / "dev" / "kmsg"
    file.write_text("0,1,1,-;an emergency of before\n")
    return file


@pytest.fixture
def news(tmp_path: Path, log: Path, clock: Clock) -> Iterator[LogNews]:
    assert log.exists()
    opened = LogNews(str(tmp_path), clock)
    yield opened
    opened.close()


def says(log: Path, record: str) -> None:
    with log.open("a") as file:
        file.write(f"{record}\n")


def test_what_was_there_before_is_no_news(news: LogNews) -> None:
    assert not news.took()


@pytest.mark.parametrize(
    ("record", "is_news"),
    [
        pytest.param("0,2,2,-;emergency", True, id="emergency"),
        pytest.param("3,2,2,-;error", True, id="error"),
        pytest.param("4,2,2,-;warning", False, id="warning"),
        pytest.param("6,2,2,-;link up", False, id="ordinary"),
        pytest.param("8,2,2,-;emergency of a program", False, id="of a program"),
        pytest.param("27,2,2,-;error of a daemon", False, id="of a daemon"),
        pytest.param("garbage", False, id="no record"),
    ],
)
def test_only_errors_of_the_kernel_are_news(
    record: str,
    is_news: bool,  # noqa: FBT001
    news: LogNews,
    log: Path,
) -> None:
    says(log, record)

    assert news.took() is is_news


def test_after_each_time_there_is_a_pause_in_which_nothing_is_polled(
    news: LogNews, clock: Clock
) -> None:
    before = news.descriptor

    news.took()

    assert before is not None
    assert news.descriptor is None
    assert news.pause == PAUSE
    clock.now += PAUSE
    assert news.descriptor == before


def test_what_was_said_in_the_pause_is_heard_after_it(
    news: LogNews, log: Path, clock: Clock
) -> None:
    news.took()
    says(log, "3,2,2,-;error")
    clock.now += PAUSE

    assert news.took()


def test_without_a_log_nothing_is_heard_and_nothing_fails(tmp_path: Path, clock: Clock) -> None:
    silent = LogNews(str(tmp_path / "nowhere"), clock)

    assert silent.descriptor is None
    assert silent.pause == 0
    assert not silent.took()
    silent.close()
