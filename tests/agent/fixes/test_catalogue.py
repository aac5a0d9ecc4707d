"""The fixes of the agent are those of the catalogue, of the same kind."""

from __future__ import annotations

import pytest

from kernelhealth_agent import practice
from kernelhealth_agent.fix import Fix
from kernelhealth_api.cures import CURES, Stage, named

FIXES = practice.every()


def test_each_cure_that_is_the_agents_to_do_can_be_done() -> None:
    expected = {cure.name for cure in CURES if cure.stage in {Stage.FIX_CONFIG, Stage.RECLAIM}}

    assert set(FIXES) == expected


@pytest.mark.parametrize("fix", FIXES.values(), ids=list(FIXES))
def test_a_fix_is_of_the_kind_that_the_catalogue_says(fix: Fix) -> None:
    cure = named(fix.name)

    assert cure is not None
    assert cure.stage is fix.stage


@pytest.mark.parametrize("fix", FIXES.values(), ids=list(FIXES))
def test_where_nothing_was_found_there_is_nothing_to_do(fix: Fix) -> None:
    assert list(fix.aims([])) == []
