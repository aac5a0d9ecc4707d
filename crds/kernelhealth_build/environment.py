"""The page of what an administrator can set in the environment of agent and operator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from kernelhealth_agent.settings import Settings as AgentSettings
from kernelhealth_api import duration
from kernelhealth_build.paper import page, table
from kernelhealth_operator.settings import Settings as OperatorSettings

_HEAD = ("variable", "default", "meaning")


def settings() -> str:
    """Return the page: a table for each of the two programs."""
    return page(
        "Settings",
        "Environment variables of the agent's DaemonSet and of the operator's Deployment. Durations"
        " are written like `90s` or `10m`. A value that cannot be used ends the program at its"
        " start, with the name of the variable.",
        "## Agent",
        table(_HEAD, _rows(AgentSettings)),
        "## Operator",
        table(_HEAD, _rows(OperatorSettings)),
    )


def _rows(kind: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    prefix = kind.model_config["env_prefix"]
    for name, field in kind.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("``", "`")
        yield f"`{prefix}{name.upper()}`", _default(field), meaning


def _default(field: FieldInfo) -> str:
    """Return a default as it would be set; nothing where there is none, or one of the machine."""
    value: Any = field.default
    if value is None or field.default_factory is not None:
        return ""
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{duration.text(value) if isinstance(value, timedelta) else value}`"
