from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from kernelhealth_agent import fixes
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.main import main
from kernelhealth_api import cures, registry
from kernelhealth_e2e.treatment.ward import Scratch

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
PINNED = HOSTS / "gssproxy-pinned"
HEALTHY = HOSTS / "gssproxy-healthy"


@pytest.fixture
def own_fixes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two fixes of the test's own in the place of all others, one of them risky."""

    def fix(name: str, against: str) -> Fix:
        def aims(observations: object) -> list[Aim]:
            return [Aim(o.key, f"leak {o.key}", o) for o in observations]  # type: ignore[attr-defined]

        def objection(_: Host, __: Aim) -> str:
            return against

        def deeds(_: Host, __: Aim) -> list[Scratch]:
            return [Scratch(tmp_path, name)]

        def achieved(_: Host, __: Aim) -> bool:
            return (tmp_path / f"done-{name}").exists()

        cure = cures.named(name)
        assert cure is not None
        return Fix(name, cure.stage, aims, objection, deeds, achieved)

    known = {
        "UnloadRpcGssModule": fix("UnloadRpcGssModule", ""),
        "BlockRpcGssModule": fix("BlockRpcGssModule", "a volume is mounted with sec=krb5"),
    }

    def every() -> Mapping[str, Fix]:
        return known

    monkeypatch.setattr("kernelhealth_agent.practice.every", every)
    monkeypatch.setenv("KERNELHEALTH_RUN_DIR", str(tmp_path / "run"))
    return tmp_path


def treat(*argv: str) -> int:
    return main(["treat", "--confirm-after", "0s", *argv])


def test_what_could_be_done_is_shown_and_nothing_is_done(
    own_fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = treat("--root", str(PINNED))

    shown = capsys.readouterr().out
    assert code == 1
    assert "UnloadRpcGssModule" in shown
    assert "1. scratch UnloadRpcGssModule 1" in shown
    assert "not now: a volume is mounted with sec=krb5" in shown
    assert "Nothing was done. With --yes it is." in shown
    assert list(own_fixes.glob("done-*")) == []


def test_programs_read_the_same_as_json(
    own_fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = treat("UnloadRpcGssModule", "--root", str(PINNED), "--output", "json", "--dry-run")

    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert found["done"] is False
    assert {each["fix"] for each in found["treatments"]} == {"UnloadRpcGssModule"}
    assert found["treatments"][0]["deeds"] == ["scratch UnloadRpcGssModule 1"]
    assert list(own_fixes.glob("done-*")) == []


def test_on_a_sound_host_there_is_nothing_to_treat(
    own_fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = treat("--root", str(HEALTHY))

    assert "There is nothing that a fix of the catalogue could treat." in capsys.readouterr().out
    # Most of what this agent looks at is not in that recording.
    assert code in {0, 2}
    assert list(own_fixes.glob("done-*")) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--yes", "--root", str(PINNED)], "--yes is for a machine, and this is a recording"),
        (["Aspirin", "--root", str(PINNED)], "there is no fix 'Aspirin'; there are: BlockRpc"),
        (["--root", "/no/such/host"], "/no/such/host is no directory"),
        (["--confirm-after", "soon"], "soon"),
    ],
    ids=["a recording", "an unknown fix", "no host", "a bad duration"],
)
def test_what_makes_no_sense_is_said(
    own_fixes: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    code = treat(*argv)

    assert code == 2
    assert words in capsys.readouterr().err
    assert list(own_fixes.glob("done-*")) == []


def test_doing_and_not_doing_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        treat("--yes", "--dry-run")

    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.usefixtures("own_fixes")
def test_while_an_agent_treats_this_machine_nobody_else_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path / "run" / "requests").held():
        code = treat("--yes")

    assert code == 2
    assert "another process on this host is treating it" in capsys.readouterr().err


def test_every_fix_is_a_cure_of_the_catalogue_at_its_stage() -> None:
    assert isinstance(fixes, ModuleType)
    for fix in registry.load(fixes, "FIX", Fix):
        cure = cures.named(fix.name)
        assert cure is not None, fix.name
        assert cure.stage is fix.stage
