"""What the API server demands of an action that hands a node over to another project."""

from __future__ import annotations

from kernelhealth_build.validations import Validation


def asked_for() -> tuple[Validation, ...]:
    """Return the demand that it is said what another project is to be asked for."""
    where = ("apiVersion", "kind", "name", "namespace")
    whole = " && ".join(
        f"has(self.template.{part}) && self.template.{part} != ''" for part in where
    )
    kubelets = "['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']"
    return (
        Validation(
            f"(has(self.via) && self.via != 'medik8s') || (has(self.template) && {whole})",
            "template: via medik8s needs its apiVersion, kind, name and namespace",
            ".template",
        ),
        Validation(
            "!has(self.via) || self.via != 'karpenter' || (has(self.condition) && "
            f"self.condition != '' && !(self.condition in {kubelets}))",
            "condition: via karpenter needs the type of a condition that Karpenter's provider "
            "repairs, and none of the kubelet's",
            ".condition",
        ),
    )
