from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kernelhealth_agent import catalogue, errors, liveness, privileges, wording
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.identity import Identity, identify
from kernelhealth_agent.settings import Settings


def test_a_sign_of_life_is_fresh_when_it_was_just_given(tmp_path: Path) -> None:
    liveness.touch(str(tmp_path))

    assert 0 <= liveness.age(str(tmp_path)) < 60


def test_a_sign_of_life_of_garbage_is_none(tmp_path: Path) -> None:
    (tmp_path / liveness.FILE).write_text("soon")

    with pytest.raises(ValueError, match="soon"):
        liveness.age(str(tmp_path))


@pytest.mark.parametrize("text", ["1e300", "inf", "nan"])
def test_a_sign_of_life_of_another_boot_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / liveness.FILE).write_text(text)

    with pytest.raises(ValueError, match="earlier boot"):
        liveness.age(str(tmp_path))


def test_a_missing_capability_is_named_with_what_it_blinds() -> None:
    sentences = privileges.missing(b"Name:\tx\nCapEff:\t0000000000201000\n")

    assert [sentence.split(":")[0] for sentence in sentences] == [
        "the agent lacks CAP_SYS_PTRACE",
        "the agent lacks CAP_DAC_READ_SEARCH",
    ]


def test_root_lacks_nothing() -> None:
    assert privileges.missing(b"CapEff:\t000001ffffffffff\n") == ()


@given(st.binary(max_size=200))
def test_any_status_gives_sentences_or_says_that_it_is_unreadable(status: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert all(isinstance(text, str) for text in privileges.missing(b"CapEff:" + status))


@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_is_short_and_begins_the_same(text: str, most: int) -> None:
    short = wording.shortened(text, most)

    assert len(short) <= most
    assert text.startswith(short.removesuffix("…"))


@given(st.text(st.characters()))
def test_a_printable_text_has_nothing_but_what_prints(text: str) -> None:
    assert wording.printable(text).isprintable()


def test_a_host_is_told_by_its_files(tmp_path: Path) -> None:
    kernel = tmp_path / "proc/sys/kernel"
    (kernel / "random").mkdir(parents=True)
    (kernel / "random/boot_id").write_text("b-1\n")
    (kernel / "osrelease").write_text("6.1.0-9\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nPRETTY_NAME="Debian 12"\n')
    (tmp_path / "proc/stat").write_text("cpu 1 2\nintr 9 0 0\nbtime 1767225600\nprocesses 7\n")
    booted = datetime(2026, 1, 1, tzinfo=UTC)

    assert identify(RecordedHost(str(tmp_path))) == Identity("b-1", "6.1.0-9", "Debian 12", booted)


@pytest.mark.parametrize("line", ["", "btime", "btime -1", "btime 99999999999999", "btime ¹"])
def test_a_boot_whose_time_cannot_be_read_has_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(f"cpu 1 2\n{line}\n")

    assert identify(RecordedHost(str(tmp_path))).boot_time is None


def test_a_host_without_such_files_has_no_identity(tmp_path: Path) -> None:
    assert identify(RecordedHost(str(tmp_path))) == Identity()


def test_every_detector_has_a_source() -> None:
    pairs = catalogue.every()

    assert pairs
    assert all(source.sample is detector.sample for source, detector in pairs)


def test_detectors_are_chosen_by_either_spelling() -> None:
    chosen = catalogue.chosen(catalogue.every(), ["residualLinks", "gssproxy"])

    assert [detector.name for _, detector in chosen] == ["gssproxy", "residual_links"]


def test_a_detector_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        catalogue.NoSuchDetectorError, match=r"'gss'; there are: cgroups, .*gssproxy"
    ):
        catalogue.chosen(catalogue.every(), ["gss"])


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELHEALTH_PERIOD", "90s")
    monkeypatch.setenv("KERNELHEALTH_KUBELET_PODS", "/srv/kubelet/pods/")

    settings = Settings()

    assert settings.period.total_seconds() == 90
    assert settings.kubelet_pods == "srv/kubelet/pods"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PERIOD", "often"), ("PERIOD", "10ms"), ("METRICS_PORT", "70000"), ("ROOT", "host"),
     ("LOG_LEVEL", "LOUD"), ("API_SERVER", "kubernetes")],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"KERNELHEALTH_{name}", value)

    with pytest.raises(ValidationError, match=name.lower()):
        Settings()
