from __future__ import annotations

import ast
import inspect
from datetime import timedelta
from itertools import pairwise

import pytest
from pydantic import ValidationError

from kernelhealth_operator import settings as module
from kernelhealth_operator.main import main
from kernelhealth_operator.settings import Settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELHEALTH_REFRESH_PERIOD", "5m")
    monkeypatch.setenv("KERNELHEALTH_MISSED_REFRESHES", "2")

    assert Settings().silence == timedelta(minutes=10)


def test_by_default_an_agent_is_silent_after_three_missed_refreshes() -> None:
    assert Settings().silence == timedelta(minutes=30)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RENEW_DEADLINE", "1h", "the lease's times must grow"),
        ("SILENT_AFTER", "0s", "KERNELHEALTH_SILENT_AFTER must be longer"),
        ("REFRESH_PERIOD", "soon", "'soon' is not a duration"),
        ("WORKERS", "0", "workers"),
        ("LIVENESS_PORT", "70000", "liveness_port"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"KERNELHEALTH_{name}", value)

    with pytest.raises(ValidationError, match=words):
        Settings()


def test_the_command_ends_with_a_sentence_when_a_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERNELHEALTH_WORKERS", "none")

    status = main(["run"])

    assert status == 1
    assert "workers" in capsys.readouterr().err


def test_every_setting_is_explained() -> None:
    tree = ast.parse(inspect.getsource(module))
    (fields,) = (one.body for one in tree.body if isinstance(one, ast.ClassDef))
    explained = {
        field.target.id
        for field, text in pairwise(fields)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
    }

    assert explained == set(Settings.model_fields)
