from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kernelhealth_e2e import cache
from kernelhealth_e2e.cache import Cache


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"KERNELHEALTH_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c", id="own variable"),
        pytest.param({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/kernelhealth", id="xdg"),
        pytest.param({"HOME": "/h"}, "/h/.cache/kernelhealth", id="home"),
        pytest.param(
            {"KERNELHEALTH_CACHE": "", "HOME": "/h"}, "/h/.cache/kernelhealth", id="empty"
        ),
    ],
)
def test_the_cache_is_where_the_environment_says(environ: dict[str, str], expected: str) -> None:
    found = cache.directory(environ)

    assert found == Path(expected)


def test_the_digest_tells_the_same_bytes_in_other_parts_apart() -> None:
    digests = {cache.digest("ab", "c"), cache.digest("a", "bc"), cache.digest("abc")}

    assert len(digests) == 3


def test_the_digest_of_files_sees_names_contents_and_the_executable_bit(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    first = cache.digest_of_files(tmp_path, [file])
    file.chmod(0o755)
    second = cache.digest_of_files(tmp_path, [file])
    file.write_text("two")
    third = cache.digest_of_files(tmp_path, [file])
    renamed = file.rename(tmp_path / "b")
    fourth = cache.digest_of_files(tmp_path, [renamed])

    assert len({first, second, third, fourth}) == 4


def test_an_entry_is_built_once_and_found_afterwards(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(target: Path) -> None:
        (target / "file").write_text("content")
        built.append(target)

    store = Cache(tmp_path / "made")
    first = store.entry("thing", "k1", build)
    second = store.entry("thing", "k1", build)

    assert first == second == tmp_path / "made" / "thing-k1"
    assert (first / "file").read_text() == "content"
    assert len(built) == 1


def test_a_build_that_fails_leaves_no_entry_and_no_rubbish(tmp_path: Path) -> None:
    def build(target: Path) -> None:
        (target / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).entry("thing", "k1", build)

    assert [path.name for path in tmp_path.iterdir()] == [".lock-thing"]


def test_what_a_killed_build_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".building-thing-x").mkdir()
    (tmp_path / ".building-other-x").mkdir()

    Cache(tmp_path).entry("thing", "k1", lambda target: (target / "file").touch())

    assert not (tmp_path / ".building-thing-x").exists()
    assert (tmp_path / ".building-other-x").exists()


def test_two_at_once_build_one_entry(tmp_path: Path) -> None:
    built: list[Path] = []
    second_waits = threading.Event()

    def build(target: Path) -> None:
        second.start()
        second_waits.wait(0.2)  # gives the second one every chance to build as well
        built.append(target)

    second = threading.Thread(target=lambda: Cache(tmp_path).entry("thing", "k1", built.append))
    Cache(tmp_path).entry("thing", "k1", build)
    second.join()

    assert len(built) == 1
