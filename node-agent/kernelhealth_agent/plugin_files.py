"""Files of plugins, in the form of node-problem-detector's custom plugin monitor.

The form is that of pkg/custompluginmonitor/types/config.go there. What it can say about how its own
daemon reports (``metricsReporting``, ``skip_initial_status``, the update by changed messages) means
nothing here and is read over.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from kernelhealth_api.duration import Duration

_FOREIGN: Final = ("Ready", "Pressure", "NetworkUnavailable")
"""How conditions end that Kubernetes sets itself, and that others repair or delete nodes by."""


class PluginFileError(Exception):
    """A file cannot be used; the message names the field and what to write instead."""


def _own(name: str) -> str:
    if name.endswith(_FOREIGN):
        raise ValueError(f"{name} is a condition that Kubernetes or others set: name it otherwise")
    return name


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


Positive = Annotated[Duration, AfterValidator(_positive)]
Word = Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]{0,62}$")]
ConditionType = Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]{0,46}$"), AfterValidator(_own)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Defaults(_Part):
    """What holds for all rules of a file."""

    invoke_interval: Positive = timedelta(seconds=30)
    timeout: Positive = timedelta(seconds=5)
    max_output_length: int = Field(80, ge=0)
    concurrency: int = Field(3, ge=1, le=64)


class ConditionDefault(_Part):
    """A condition that permanent rules are about."""

    type: ConditionType


class Rule(_Part):
    """One plugin: what to run, and what it means when it says no."""

    type: Literal["temporary", "permanent"]
    condition: str = ""
    reason: Word
    path: str = Field(min_length=1, pattern="^[^\0]+$")
    args: Annotated[tuple[str, ...], BeforeValidator(lambda value: value or ())] = ()
    timeout: Positive | None = None
    invoke_interval: Positive | None = None


class PluginFile(_Part):
    """One file."""

    plugin: Literal["custom"]
    defaults: Defaults = Field(Defaults(), alias="pluginConfig")
    source: str = Field(min_length=1, max_length=63)
    conditions: tuple[ConditionDefault, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {condition.type for condition in self.conditions}
        for index, rule in enumerate(self.rules):
            if rule.type == "permanent" and rule.condition not in known:
                raise ValueError(
                    f"rules.{index}.condition: {rule.condition!r} is not among conditions"
                )
            if rule.timeout is not None and rule.timeout > self.defaults.timeout:
                raise ValueError(f"rules.{index}.timeout: is longer than pluginConfig.timeout")
        return self

    def timeout(self, rule: Rule) -> float:
        """Return for how many seconds a rule's plugin may run."""
        return (rule.timeout or self.defaults.timeout).total_seconds()

    def interval(self, rule: Rule) -> float:
        """Return how many seconds lie between two runs of a rule's plugin."""
        return (rule.invoke_interval or self.defaults.invoke_interval).total_seconds()


def parsed(text: bytes) -> PluginFile:
    """Return a file's content; raises ``PluginFileError``."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PluginFileError(f"it is no JSON: {error}") from error
    try:
        return PluginFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise PluginFileError(f"{field}: {message}" if field else message) from error
