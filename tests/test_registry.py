from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_build import catalogue
from kernelhealth_operator import remediations

HOSTS = Path(__file__).parent / "fixtures/hosts"
SHIPPED = catalogue.shipped()
REASONS = [(detector, reason) for detector in SHIPPED.detectors for reason in detector.reasons]


def test_there_are_detectors_and_remediations() -> None:
    assert SHIPPED.detectors
    assert SHIPPED.remediations


def test_no_two_detectors_share_a_name_or_a_condition() -> None:
    assert _repeated(detector.name for detector in SHIPPED.detectors) == []
    assert _repeated(detector.key for detector in SHIPPED.detectors) == []
    assert _repeated(detector.condition for detector in SHIPPED.detectors) == []


def test_no_two_reasons_share_a_name() -> None:
    assert _repeated(reason.name for _, reason in REASONS) == []


def test_no_two_signals_share_a_name() -> None:
    names = [signal.name for detector in SHIPPED.detectors for signal in detector.signals]

    assert _repeated(names) == []


def test_every_condition_is_true_when_healthy_by_its_name() -> None:
    wrong = [d.condition for d in SHIPPED.detectors if not d.condition.endswith("Healthy")]

    assert wrong == []


def test_no_condition_has_a_name_that_other_controllers_react_to() -> None:
    assert [d.condition for d in SHIPPED.detectors if d.condition == "KernelReady"] == []


def test_every_reason_names_parameters_that_its_detector_has() -> None:
    missing = [
        f"{detector.name}: {reason.name} names {field}"
        for detector, reason in REASONS
        for field in (reason.confirm, reason.critical)
        if field is not None and field not in detector.params.model_fields
    ]

    assert missing == []


def test_every_detector_and_every_remediation_can_be_used_without_settings() -> None:
    for detector in SHIPPED.detectors:
        detector.params()
    for remediation in SHIPPED.remediations:
        remediation.settings()


def test_every_detector_has_a_recorded_host() -> None:
    bare = [d.name for d in SHIPPED.detectors if not list(HOSTS.glob(f"{d.name}-*"))]

    assert bare == []


def test_what_is_loaded_is_ordered_by_name() -> None:
    names = [remediation.name for remediation in SHIPPED.remediations]

    assert names == sorted(names)
    assert registry.load(remediations, "REMEDIATION", Remediation) == SHIPPED.remediations


@pytest.mark.parametrize(
    "text",
    ["", "REMEDIATION = 'cordon'\n", "from kernelhealth_operator.remediations.cordon import *\n"],
    ids=["registers nothing", "registers something else", "registers under a foreign name"],
)
def test_a_module_that_is_not_registered_properly_stops_the_program(
    package: ModuleType, text: str
) -> None:
    Path(package.__path__[0], "forgotten.py").write_text(text)
    importlib.invalidate_caches()

    with pytest.raises(TypeError, match=r"^extensions\.forgotten must define REMEDIATION, a Rem"):
        registry.load(package, "REMEDIATION", Remediation)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An empty package named extensions, forgotten afterwards."""
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("extensions")
    for name in [name for name in sys.modules if name.partition(".")[0] == "extensions"]:
        del sys.modules[name]


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
