"""Whatever a parser is given, it returns a value or raises an error of its own.

Any bytes at all, what was recorded, and what was recorded with a few bytes changed.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_e2e.fuzzing import targets

EVERY = targets.every()
BINARY = [target.name for target in EVERY if target.binary]
SEEDS = list(dict.fromkeys(targets.seeds()))
RUNS = os.environ.get("KERNELHEALTH_FUZZ_RUNS", "20000")


def tried(target: targets.Target, content: bytes) -> None:
    try:
        target(content)
    except (errors.AbsentError, errors.UnreadableError):
        return


def test_every_parameter_of_every_parser_has_a_value() -> None:
    assert {target.name: target.strange for target in EVERY if target.strange} == {}


def test_the_parsers_are_found() -> None:
    names = {target.name for target in EVERY}

    assert {"rtnetlink.links", "nftables.fib_users", "btf.types", "cgroups.pod"} <= names
    assert {"rtnetlink.links", "btf.types"} <= set(BINARY)


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(content=st.binary(max_size=600))
def test_any_bytes_are_understood_or_refused(target: targets.Target, content: bytes) -> None:
    tried(target, content)


@pytest.mark.parametrize("target", EVERY, ids=lambda target: target.name)
def test_what_was_recorded_is_understood_or_refused_by_everybody(target: targets.Target) -> None:
    chance = random.Random(target.name)  # noqa: S311 - The same for everybody, who wants to see it.
    for seed in chance.sample(SEEDS, min(len(SEEDS), 120)):
        tried(target, seed)
        changed = bytearray(seed)
        for _ in range(chance.randint(1, 8)):
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        tried(target, bytes(changed[: chance.randint(0, len(changed))]))


@pytest.mark.parametrize("name", BINARY)
def test_no_way_through_a_decoder_ends_otherwise(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris, which there is for x86_64 only")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[:: max(1, len(SEEDS) // 150)]):
        (corpus / str(number)).write_bytes(seed[:4096])

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "kernelhealth_e2e.fuzzing",
            name,
            f"-runs={RUNS}",
            "-seed=1",
            corpus,
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr
