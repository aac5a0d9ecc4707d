from __future__ import annotations

import json

import pytest

from kernelhealth_agent import catalogue, handbook
from kernelhealth_agent.main import main

BOOK = handbook.shipped()
REASONS = sorted(
    reason.name
    for _, detector in catalogue.every()
    for reason in detector.reasons
    if reason.name in BOOK.reasons
)


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_has_a_page_with_all_that_its_file_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = BOOK.reasons[name]

    code = main(["explain", name])

    told = " ".join(capsys.readouterr().out.split())
    assert code == 0
    for text in (*page.means, *page.evidence, *page.check_yourself, *page.do, *page.false_alarms):
        assert " ".join(text.split()) in told
    assert all(f"{cause.id}: {cause.title}" in told for cause in BOOK.causes_of(name))


@pytest.mark.parametrize("name", sorted(BOOK.causes))
def test_every_cause_has_a_page_with_all_that_its_file_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = BOOK.causes[name]

    code = main(["explain", name])

    told = " ".join(capsys.readouterr().out.split())
    assert code == 0
    texts = (page.title, *page.mechanism, page.affected, page.not_by_version, *page.references)
    for text in (*texts, *page.cures, *page.reasons, *(fix.subject for fix in page.fixes)):
        assert " ".join(text.split()) in told


def test_capitals_do_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "GssProxyPin"])
    as_written = capsys.readouterr().out

    code = main(["explain", "gssproxyPIN"])

    assert code == 0
    assert capsys.readouterr().out == as_written


def test_commands_are_not_broken_over_lines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "NamespacePinnedByGssProxy"])

    lines = {line.strip() for line in capsys.readouterr().out.splitlines()}
    assert set(BOOK.reasons["NamespacePinnedByGssProxy"].check_yourself) <= lines


def test_a_cure_is_told_in_words_and_a_risky_one_as_such(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["explain", "SuppressPrefixLeak"])

    told = " ".join(capsys.readouterr().out.split())
    assert "Reboot: Boots the node anew" in told
    assert "RemoveSuppressPrefixRule: Deletes the IPv6 policy rule" in told
    assert "Only where a policy names it." in told


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("GssproxPin", "GssProxyPin"),
        ("NamespaceLeaked", "NetworkNamespaceLeaked"),
        ("suppress", "SuppressPrefixTrap"),
        ("IPv6RouteObjectLeak", "IPv6RouteObjectsLeaking"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_near_ones(
    asked: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["explain", asked])

    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert f"there is no reason and no cause {asked!r}; did you mean" in told.err
    assert near in told.err


def test_a_name_like_none_says_where_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["explain", "xyzzy"])

    assert code == 2
    assert "there is none of a name like it. kernelhealth-agent explain lists" in (
        capsys.readouterr().err
    )


def test_without_a_name_every_reason_and_cause_has_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["explain"])

    words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:1] == " "]
    every = [reason.name for _, detector in catalogue.every() for reason in detector.reasons]
    assert code == 0
    assert words == [*sorted(every), *sorted(BOOK.causes)]


def test_the_list_as_json_has_reasons_with_meaning_and_causes_with_title(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["explain", "--output", "json"])

    listed = json.loads(capsys.readouterr().out)
    every = {reason.name for _, detector in catalogue.every() for reason in detector.reasons}
    assert code == 0
    assert {each["reason"] for each in listed["reasons"]} == every
    assert {each["id"] for each in listed["causes"]} == set(BOOK.causes)
    assert all(each["meaning"] for each in listed["reasons"])


def test_a_reason_as_json_has_its_page_detector_and_causes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["explain", "NamespacePinnedByGssProxy", "--output", "json"])

    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "reason"
    assert told["detector"] == "gssproxy"
    assert told["severity"] == "Warning"
    assert told["causes"] == ["GssProxyPin"]
    assert told["checkYourself"]


def test_a_cause_as_json_has_the_fields_of_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "SuppressPrefixLeak", "--output", "json"])

    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "cause"
    assert told["fixes"][0]["commit"].startswith("cdef485217d3")
    assert told["cures"][-1] == "Reboot"
