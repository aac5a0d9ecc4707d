"""The policies that are shipped as examples."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_operator import catalogue, remediations
from kernelhealth_operator.policy.problems import problems

EXAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "examples").glob("*.yaml"))
KNOWN = catalogue.shipped(registry.load(remediations, "REMEDIATION", Remediation))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_nothing_is_wrong_with_an_example(path: Path) -> None:
    policy = KernelHealthPolicySpec.model_validate(yaml.safe_load(path.read_text())["spec"])

    found = problems(policy, KNOWN.catalogue, datetime(2026, 1, 1, tzinfo=UTC))

    assert [str(problem) for problem in found] == []
