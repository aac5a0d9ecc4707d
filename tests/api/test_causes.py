"""Code and handbook say the same: every reason, cause and cure that is named has its page."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from kernelhealth_agent import detectors, handbook
from kernelhealth_agent.handbook import Handbook, HandbookError
from kernelhealth_api.cures import CURES
from kernelhealth_build import catalogue as catalogues
from kernelhealth_build import handbook as pages
from kernelhealth_build.catalogue import Catalogue

TREE = Path(__file__).parents[2]
AGENT = TREE / "node-agent/kernelhealth_agent"
STATUSES = sorted((TREE / "tests/fixtures/hosts").glob("*/expected.status.yaml"))
SHIPPED = catalogues.shipped()
BOOK = handbook.shipped()
REASONS = {reason.name for detector in SHIPPED.detectors for reason in detector.reasons}
CONDITIONS = {detector.condition for detector in SHIPPED.detectors}
CURE_NAMES = {cure.name for cure in CURES}
WORD = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+|Reboot|IPv6[A-Z]\w+")


def trees(folder: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every node of the modules of a folder, with the place where it is; f-strings stay whole."""
    for path in sorted(folder.glob("*.py")):
        waiting: list[ast.AST] = [ast.parse(path.read_text())]
        while waiting:
            found = waiting.pop()
            yield found, f"{path.name}:{getattr(found, 'lineno', 0)}"
            if not isinstance(found, ast.JoinedStr):
                waiting += ast.iter_child_nodes(found)


def strings(folder: Path) -> Iterator[tuple[str, str]]:
    """Every string constant in the modules of a folder, with the place where it is."""
    for found, where in trees(folder):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value, where


def beginnings(folder: Path) -> Iterator[str]:
    """What the names begin with that f-strings make."""
    for found, _ in trees(folder):
        if isinstance(found, ast.JoinedStr) and isinstance(found.values[0], ast.Constant):
            first = str(found.values[0].value)
            if WORD.fullmatch(first):
                yield first


def test_every_reason_has_a_page() -> None:
    assert sorted(REASONS - set(BOOK.reasons)) == []


def test_every_page_of_a_reason_is_of_one_that_a_detector_has() -> None:
    assert sorted(set(BOOK.reasons) - REASONS) == []


def test_detectors_name_nothing_that_is_neither_reason_nor_condition_nor_cause_nor_cure() -> None:
    known = REASONS | CONDITIONS | CURE_NAMES | set(BOOK.causes)
    (folder,) = detectors.__path__

    unknown = [
        f"{where}: {text}"
        for text, where in strings(Path(folder))
        if WORD.fullmatch(text) and text not in known
    ]

    assert unknown == []


def test_every_cause_with_a_page_is_named_in_the_code() -> None:
    folders = AGENT / "detectors", AGENT / "kernel"
    named = {text for folder in folders for text, _ in strings(folder)}
    begun = tuple(text for folder in folders for text in beginnings(folder))

    nowhere = [name for name in BOOK.causes if name not in named and not name.startswith(begun)]
    assert nowhere == []


def test_no_cause_has_the_name_of_a_reason() -> None:
    assert sorted(set(BOOK.causes) & REASONS) == []


def test_the_wheel_has_every_page(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(TREE)).build(directory=str(tmp_path), versions=["standard"])

    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    wanted = {f"kernelhealth_agent/reasons/{name}.yaml" for name in BOOK.reasons}
    wanted |= {f"kernelhealth_agent/causes/{name}.yaml" for name in BOOK.causes}
    assert sorted(wanted - there) == []


@pytest.mark.parametrize("status", STATUSES, ids=[path.parent.name for path in STATUSES])
def test_what_a_recorded_host_is_said_to_have_can_be_looked_up(status: Path) -> None:
    for finding in yaml.safe_load(status.read_text()).get("findings", []):
        reason, cause = finding["reason"], finding.get("cause")

        assert reason in BOOK.reasons
        assert set(finding.get("cures", [])) <= CURE_NAMES
        assert cause is None or reason in BOOK.causes[cause].reasons


@pytest.mark.parametrize("name", sorted(BOOK.causes))
def test_a_cause_names_reasons_and_cures_that_there_are(name: str) -> None:
    page = BOOK.causes[name]

    assert sorted(set(page.reasons) - REASONS) == []
    assert sorted(set(page.cures) - CURE_NAMES) == []


def test_a_cause_that_only_a_reboot_cures_names_nothing_else() -> None:
    wrong = [
        page.id
        for page in BOOK.causes.values()
        if page.only_reboot is True and page.cures != ("Reboot",)
    ]
    needless = [
        page.id
        for page in BOOK.causes.values()
        if page.only_reboot is False and page.cures == ("Reboot",)
    ]

    assert (wrong, needless) == ([], [])


def test_no_cure_is_listed_twice_and_each_is_a_sentence() -> None:
    assert len(CURE_NAMES) == len(CURES)
    assert all(cure.summary.endswith(".") for cure in CURES)


def test_the_page_of_causes_has_an_anchor_for_each_and_the_cures() -> None:
    text = pages.causes(BOOK)

    assert [name for name in BOOK.causes if f'<a id="{name}"></a>\n\n## {name}\n' not in text] == []
    assert "`cdef485217d3` ipv6: fix memory leak in fib6_rule_suppress, in 5.16" in text
    assert [cure.name for cure in CURES if f"| `{cure.name}` | {cure.stage} |" not in text] == []


def test_the_page_of_reasons_leads_to_the_causes() -> None:
    text = pages.reasons(SHIPPED, BOOK)

    assert sorted(name for name in REASONS if f'<a id="{name}"></a>' not in text) == []
    assert "Causes: [GssProxyPin](causes.md#GssProxyPin)." in text


def test_a_reason_without_a_page_is_listed_with_its_meaning(catalogue: Catalogue) -> None:
    text = pages.reasons(catalogue, Handbook({}, {}))

    assert "## SocketStuck\n\nIt waits. Usually Warning; detector `stuckSockets`." in text


CAUSE = """
id: Rust
title: Things made of iron rust
mechanism: Water and air meet iron.
affected: All things made of iron.
not_by_version: Some are painted.
only_reboot: false
reasons: [ThingRusts]
"""


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("Rust.yaml", CAUSE + "colour: red", "causes/Rust.yaml: colour: Extra inputs"),
        ("Rust.yaml", "id: Rust", "causes/Rust.yaml: title: Field required"),
        ("Rust.yaml", "[", "causes/Rust.yaml is no YAML"),
        ("Rust.yaml", "- Rust", "causes/Rust.yaml: the page: Input should be"),
        ("Decay.yaml", CAUSE, "causes/Decay.yaml is the page of Rust: name the file Rust.yaml"),
        ("Rust.yaml", CAUSE.replace("ThingRusts", "thing rusts"), "causes/Rust.yaml: reasons.0:"),
    ],
)
def test_a_page_that_cannot_be_used_is_named(
    tmp_path: Path, file: str, text: str, complaint: str
) -> None:
    for folder in ("reasons", "causes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "causes" / file).write_text(text)

    with pytest.raises(HandbookError, match=f"^{re.escape(complaint)}"):
        handbook.read(tmp_path)


def test_one_text_is_as_good_as_a_list_of_one(tmp_path: Path) -> None:
    for folder in ("reasons", "causes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "causes" / "Rust.yaml").write_text(CAUSE)

    book = handbook.read(tmp_path)

    assert book.causes["Rust"].mechanism == ("Water and air meet iron.",)
    assert [page.id for page in book.causes_of("ThingRusts")] == ["Rust"]
