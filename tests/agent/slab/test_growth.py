from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from kernelhealth_agent.kernel import growth, slab_limits
from kernelhealth_agent.kernel.growth import Growth, Row
from kernelhealth_agent.kernel.history import History, Track
from kernelhealth_agent.kernel.slab_caches import cache_row, living_row, made_row
from kernelhealth_agent.kernel.slab_limits import SlabParams
from kernelhealth_agent.kernel.trend import Trend

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNT, STEP = 24, 1800.0
CACHE = Row(cache_row("kmalloc-1k"), 1024.0)
AVAILABLE = 4 << 30
UNEVEN = (3, 1, 0, 2, 5, 1, 2, 4, 3, 0, 1, 2, 4, 1, 2, 2, 4, 1, 0, 3, 3, 1, 2, 2)
Rows = dict[str, list[int]]


def history(rows: Rows, step: float = STEP) -> History:
    return History(
        times=tuple(1000 + index * step for index in range(COUNT)),
        spacing=step,
        tracks={name: Track(tuple(row), min(row), NOW) for name, row in rows.items()},
    )


def line(per_point: float, start: int = 10000) -> list[int]:
    return [round(start + per_point * index) for index in range(COUNT)]


def walk(per_unit: float, start: int = 0) -> list[int]:
    """A row that grows in the uneven steps."""
    return [round(start + per_unit * sum(UNEVEN[: index + 1])) for index in range(COUNT)]


def judged(rows: Rows, step: float = STEP, **params: object) -> Growth | None:
    limits = slab_limits.limits(SlabParams.model_validate(params))
    return growth.growth(history(rows, step), CACHE, limits, AVAILABLE)


def test_steady_growth_is_a_leak_with_its_rate() -> None:
    found = judged({CACHE.name: line(1000)})

    assert found is not None
    assert found.per_hour == pytest.approx(2000 * 1024)
    assert found.grown == 23000 * 1024
    assert found.onset == NOW


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(line(0), id="still"),
        pytest.param(line(-300), id="shrinking"),
        pytest.param(line(100), id="too little"),
        pytest.param([10000] * 12 + [40000] * 12, id="one step"),
        pytest.param([*line(1000)[:12], 9000, *line(1000)[13:]], id="fell in between"),
        pytest.param(line(3000)[:12] + [line(3000)[11]] * 12, id="has stopped"),
        pytest.param(
            [round(30000 + 12000 * math.sin(index / 3)) for index in range(COUNT)], id="waves"
        ),
        pytest.param(line(1000)[:8], id="too few"),
    ],
)
def test_what_is_no_leak(row: list[int]) -> None:
    assert judged({CACHE.name: row}) is None


def test_six_hours_are_needed() -> None:
    assert judged({CACHE.name: line(1000)}, step=900) is None
    assert judged({CACHE.name: line(1000)}, step=900, span="5h") is not None


def test_what_memory_suffices_for_longer_is_no_finding() -> None:
    assert judged({CACHE.name: line(1000)}, horizon="24h") is None


@pytest.mark.parametrize(
    ("name", "per_point"),
    [("tasks", 40), ("files", 80), ("cgroups", 20), ("conntrack", 1200), ("cached", 70000)],
)
def test_growth_that_living_things_account_for_is_a_workload(name: str, per_point: float) -> None:
    rows = {CACHE.name: line(1000), living_row(name): line(per_point, 500)}

    assert judged(rows) is None


@pytest.mark.parametrize(("name", "per_point"), [("tasks", 4), ("files", 10), ("cached", 9000)])
def test_a_few_more_living_things_do_not_hide_a_leak(name: str, per_point: float) -> None:
    rows = {CACHE.name: line(1000), living_row(name): line(per_point, 500)}

    assert judged(rows) is not None


def test_a_leap_of_living_things_does_not_explain_what_grows_all_the_time() -> None:
    rows = {CACHE.name: line(1000), living_row("tasks"): [500] * 12 + [9000] * 12}

    assert judged(rows) is not None


def test_leaked_namespaces_explain_what_leaks_with_them_but_not_themselves() -> None:
    kept = line(20, 30)
    namespaces = Row(cache_row("net_namespace"), 4096.0)
    limits = slab_limits.limits(SlabParams(growth_bytes=1 << 20))
    seen = history({CACHE.name: line(1000), namespaces.name: kept, living_row("kept"): kept})

    assert growth.growth(seen, CACHE, limits, AVAILABLE) is None
    assert growth.growth(seen, namespaces, limits, 1 << 28) is not None


def test_what_it_follows_is_named_with_the_number_for_each() -> None:
    rows = {
        CACHE.name: walk(1000, 500),
        made_row("namespaces"): walk(100),
        made_row("processes"): line(3000),
    }

    found = judged(rows)

    assert found is not None
    assert found.follows is not None
    assert found.follows.name == "namespaces"
    assert found.per == pytest.approx(10.0)


def test_of_two_that_fit_the_rarer_is_named() -> None:
    rows = {
        CACHE.name: walk(1000, 500),
        made_row("namespaces"): walk(100),
        made_row("processes"): walk(2000),
    }

    found = judged(rows)

    assert found is not None
    assert found.follows is not None
    assert found.follows.name == "namespaces"


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({"processes": line(3000)}, id="steady beside steady says nothing"),
        pytest.param({"namespaces": walk(1)}, id="uneven beside steady"),
        pytest.param({"namespaces": [7] * COUNT}, id="nothing was made"),
        pytest.param({"namespaces": [7] * 20 + [8, 9, 10, 11]}, id="mostly nothing was made"),
        pytest.param({"namespaces": walk(1)[-4:]}, id="too few"),
        pytest.param({}, id="not counted"),
    ],
)
def test_nothing_is_named_without_evidence(counts: Rows) -> None:
    found = judged({CACHE.name: line(1000), **{made_row(n): row for n, row in counts.items()}})

    assert found is not None
    assert found.follows is None


@pytest.mark.parametrize(
    ("slope", "days"), [(AVAILABLE / 86400, 1), (AVAILABLE / 864000, 10), (1.0, None), (0, None)]
)
def test_the_end_is_when_memory_is_used_up(slope: float, days: float | None) -> None:
    end = growth.forecast(Trend(slope, slope / 2, slope * 2, 24, 43200.0), AVAILABLE, NOW)

    assert end.likely == (None if days is None else NOW + timedelta(days=days))
    if days is not None:
        assert end.earliest == NOW + timedelta(days=days / 2)
        assert end.latest == NOW + timedelta(days=days * 2)


def test_the_end_does_not_move_with_every_look() -> None:
    trend = Trend(AVAILABLE / 864000, 1.0, 1e9, 24, 43200.0)

    ends = [growth.forecast(trend, AVAILABLE, NOW + timedelta(seconds=s)) for s in (0, 60, 1800)]

    assert len({end.likely for end in ends}) == 1
