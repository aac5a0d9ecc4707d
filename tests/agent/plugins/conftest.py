"""Plugins as small shell scripts, and files of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Write a shell script of those lines and return its path."""

    def written(*lines: str, name: str = "check.sh", mode: int = 0o755) -> str:
        path = tmp_path / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(mode)
        return str(path)

    return written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of files of plugins."""
    (tmp_path / "plugins").mkdir()
    return tmp_path / "plugins"


@pytest.fixture
def file(folder: Path) -> Callable[..., Path]:
    """Write a file of plugins with those rules; every condition that a rule names is there."""

    def written(*rules: dict[str, Any], name: str = "clock.json", **more: Any) -> Path:
        kinds = dict.fromkeys(rule["condition"] for rule in rules if rule.get("condition"))
        conditions = [{"type": kind, "reason": "AllWell", "message": "well"} for kind in kinds]
        content = {
            "plugin": "custom",
            "pluginConfig": {"invoke_interval": "30s", "timeout": "10s"},
            "source": "clock-monitor",
            "metricsReporting": True,
            "conditions": conditions,
            "rules": rules,
        }
        path = folder / name
        path.write_text(json.dumps(content | more))
        path.chmod(0o644)
        return path

    return written
