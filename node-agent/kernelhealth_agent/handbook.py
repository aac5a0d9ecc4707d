"""The handbook: a page for each reason and each cause, shipped as YAML beside this module.

Everything that explains a finding is derived from these files: ``kernelhealth-agent explain``,
``docs/reasons.md`` and ``docs/causes.md``, and the list of causes that policies may name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

_NAME: Final = "^[A-Z][A-Za-z0-9]+$"


class HandbookError(Exception):
    """A page cannot be used; the message names the file and what is wrong with it."""


def _several(value: Any) -> Any:
    """Return one text as a list of one: that is how a short page is written."""
    return (value,) if isinstance(value, str) else value


Name = Annotated[str, Field(pattern=_NAME)]
Text = Annotated[str, Field(min_length=10)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_several)]
Words = Annotated[tuple[str, ...], BeforeValidator(_several)]


class _Page(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        str_strip_whitespace=True,
    )


class Fix(_Page):
    """A change to the kernel: its commit if known, how it is called, which releases have it."""

    commit: str | None = Field(None, pattern="^[0-9a-f]{8,40}$")
    subject: Text
    releases: Words = Field(min_length=1)


class CausePage(_Page):
    """What is known of one cause; *id* is what findings carry.

    *fixes* are upstream; *affected* says which releases have the fault, *not_by_version* why the
    release alone is no verdict. *only_reboot* is the answer, or a sentence where it depends.
    *reasons* are those whose findings can have this cause.
    """

    id: Name
    title: Text
    mechanism: Texts = Field(min_length=1)
    fixes: tuple[Fix, ...] = ()
    affected: Text
    not_by_version: Text
    references: Words = ()
    cures: tuple[Name, ...] = ()
    only_reboot: bool | Text
    reasons: tuple[Name, ...] = Field(min_length=1)

    @property
    def name(self) -> str:
        """What the page is called, and its file."""
        return self.id


class ReasonPage(_Page):
    """What a reason means, and what a person does who reads it.

    *check_yourself* are commands to type on the node, each a line; *false_alarms* says what looks
    alike and is none.
    """

    reason: Name
    means: Texts = Field(min_length=1)
    evidence: Texts = Field(min_length=1)
    check_yourself: Words = Field(min_length=1)
    do: Texts = Field(min_length=1)
    false_alarms: Texts = Field(min_length=1)

    @property
    def name(self) -> str:
        """What the page is called, and its file."""
        return self.reason


P = TypeVar("P", CausePage, ReasonPage)


@dataclass(frozen=True, slots=True)
class Handbook:
    """All pages by name, each in the order of their names."""

    reasons: Mapping[str, ReasonPage]
    causes: Mapping[str, CausePage]

    def causes_of(self, reason: str) -> tuple[CausePage, ...]:
        """Return the causes that findings of a reason can have."""
        return tuple(page for page in self.causes.values() if reason in page.reasons)


def shipped() -> Handbook:
    """Return the handbook of this version; raises ``HandbookError``."""
    return read(resources.files("kernelhealth_agent"))


def read(folder: Traversable) -> Handbook:
    """Return the handbook in *folder*, which has ``reasons`` and ``causes``.

    Raises ``HandbookError`` for a page that cannot be used, or has another name than its file.
    """
    return Handbook(
        reasons={page.name: page for page in _pages(folder / "reasons", ReasonPage)},
        causes={page.name: page for page in _pages(folder / "causes", CausePage)},
    )


def _pages(folder: Traversable, kind: type[P]) -> Iterator[P]:
    files = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    for file in sorted(files, key=lambda file: file.name):
        yield _page(file, f"{folder.name}/{file.name}", kind)


def _page(file: Traversable, where: str, kind: type[P]) -> P:
    try:
        page = kind.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HandbookError(f"{where} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "the page"
        raise HandbookError(f"{where}: {field}: {first['msg']}") from error
    if f"{page.name}.yaml" != file.name:
        raise HandbookError(f"{where} is the page of {page.name}: name the file {page.name}.yaml")
    return page
