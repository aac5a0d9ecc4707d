from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_build import catalogue as catalogues

EXAMPLES = sorted((Path(__file__).parents[2] / "manifests/examples").glob("*.yaml"))
REASONS = {reason.name for each in catalogues.shipped().detectors for reason in each.reasons}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_names_only_reasons_that_a_detector_has(path: Path) -> None:
    spec = KernelHealthPolicySpec.model_validate(yaml.safe_load(path.read_text())["spec"])

    assert {reason for rule in spec.rules for reason in rule.match.reasons} - REASONS == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_begins_with_words_about_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")
