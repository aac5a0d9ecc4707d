from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import (
    growth_forecast,
    history,
    mount_cache,
    mount_namespaces,
    mount_table,
)
from kernelhealth_agent.kernel.growth_forecast import Growth
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.mount_namespaces import Holding, Listed
from kernelhealth_agent.moments import Moment

PATH = "proc/slabinfo"
FILES = {"objects": b"190 N0=190\n", "slab_size": b"384\n", "objs_per_slab": b"21\n"}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ("rw,lowerdir=/a:/b,upperdir=/u,workdir=/w", 3),
        ("ro,lowerdir=/a", 1),
        (r"rw,lowerdir=/a\:b:/c,upperdir=/u,workdir=/w", 3),
        ("rw,lowerdir+=/a,lowerdir+=/b,datadir+=/d,upperdir=/u", 4),
        ("rw,lowerdir=/a::/data", 2),
    ],
)
def test_each_layer_of_an_overlay_is_a_mount_of_its_own(options: str, layers: int) -> None:
    line = f"40 22 0:50 / /x rw shared:2 - overlay overlay {options}\n".encode()

    assert mount_table.overlay_layers(line) == {b"0:50": layers}


def test_an_overlay_that_is_mounted_twice_has_its_layers_once() -> None:
    line = b"40 22 0:50 / /x rw - overlay overlay rw,lowerdir=/a\n"

    assert mount_table.overlay_layers(line + line) == {b"0:50": 1}


def test_namespace_files_that_are_mounted_are_found() -> None:
    text = b"40 22 0:4 mnt:[4026532300] /run/snapd/ns/a.mnt rw - nsfs nsfs rw\n"

    assert mount_table.mounted_namespaces(text) == {4026532300: "/run/snapd/ns/a.mnt"}


def test_objects_that_may_be_free_are_not_claimed() -> None:
    found = mount_cache.objects(
        {**FILES, "cpu_slabs": b"7 N0=7\n", "sheaf_capacity": b"2\n"}, 4, (), PATH
    )

    assert (found.count, found.slack, found.at_least) == (190, 7 * 21 + 2 * 32, 0)


def test_a_cache_that_is_listed_under_another_name_is_absent() -> None:
    with pytest.raises(errors.AbsentError, match="mnt_cache"):
        mount_cache.listed(b"posix_timers_cache 5 5 384 21 2 : tunables", 4, PATH)


def test_a_namespace_with_a_thread_or_a_path_is_not_without_owner() -> None:
    spaces = [Listed(number, number, 1) for number in (1, 2, 3, 4)]
    held = [Holding(1, 50, None), Holding(2, 51, 7), Holding(1, 50, 3)]

    found = list(mount_namespaces.orphans(spaces, held, {3}, whole=True))

    assert [(space.inode, holder) for space, holder in found] == [
        (2, Holding(2, 51, 7)),
        (4, None),
    ]


def test_that_nobody_holds_a_namespace_is_only_said_when_everybody_was_asked() -> None:
    assert list(mount_namespaces.orphans([Listed(1, 1, 1)], [], set(), whole=False)) == []


def grown(values: list[int]) -> History:
    past = History()
    for index, value in enumerate(values):
        moment = Moment(START, 0.0).after(600.0 * index)
        past = history.appended(past, {"x": value}, moment)
    return past


def test_a_number_that_rises_all_the_time_is_forecast() -> None:
    found = growth_forecast.growth(grown(list(range(0, 1200, 100))), "x")

    assert found is not None
    assert found.rises_for(timedelta(hours=1))
    measure = growth_forecast.measure(1100.0, 1.0, 6000.0, found, START)
    assert measure.per_hour == 600
    assert measure.exhaustion == START + timedelta(hours=10)


def test_an_hour_is_an_hour_whatever_the_rounding_of_its_ends() -> None:
    found = Growth(1.0, 1.0, 1.0, seconds=3599.9999, onset=START)

    assert found.rises_for(timedelta(hours=1))
    assert not found.rises_for(timedelta(hours=1, minutes=1))


@pytest.mark.parametrize(
    "values",
    [[5] * 12, [5, 9] * 6, list(range(12, 0, -1)), [1, 2], [1, 2, 3]],
    ids=["level", "noise", "falling", "two looks", "too short"],
)
def test_what_does_not_rise_for_an_hour_is_not_forecast(values: list[int]) -> None:
    found = growth_forecast.growth(grown(values), "x")

    assert found is None or not found.rises_for(timedelta(hours=1))


@given(st.binary())
def test_any_bytes_give_a_value_or_say_what_is_wrong(content: bytes) -> None:
    mount_table.overlay_layers(content)
    mount_table.mounted_namespaces(content)
    mount_table.first_mount(content)
    with contextlib.suppress(errors.UnreadableError, errors.AbsentError):
        mount_cache.listed(content, 4, PATH)
    with contextlib.suppress(errors.UnreadableError):
        files = dict.fromkeys(mount_cache.FILES, content)
        assert mount_cache.objects(files, 4, (), PATH).at_least >= 0
    for decode in (mount_namespaces.listed, mount_namespaces.holdings):
        with contextlib.suppress(errors.UnreadableError):
            decode(content, PATH)


@given(
    st.recursive(
        st.integers() | st.text(max_size=3) | st.none() | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["whole", "holders"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_json_gives_a_value_or_says_what_is_wrong(value: object) -> None:
    for decode in (mount_namespaces.listed, mount_namespaces.holdings):
        with contextlib.suppress(errors.UnreadableError):
            decode(json.dumps(value).encode(), PATH)
