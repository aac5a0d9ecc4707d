"""The CustomResourceDefinitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kernelhealth_api.schema import Defaults, Schema, structural
from kernelhealth_api.v1alpha1 import GROUP, VERSION
from kernelhealth_api.v1alpha1.kernelhealthpolicy import (
    KernelHealthPolicySpec,
)
from kernelhealth_api.v1alpha1.nodekernelhealth import NodeKernelHealthSpec, NodeKernelHealthStatus
from kernelhealth_api.v1alpha1.noderemediation import NodeRemediationSpec, NodeRemediationStatus
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_build import columns, composition, policy_rules, treatment_rules
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_build.validations import at, keep_unknown, limit_strings


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of custom resource; *schema* is that of the whole object."""

    name: str
    plural: str
    short: str
    columns: list[columns.Column]
    schema: Schema

    def definition(self) -> dict[str, Any]:
        """Return the CustomResourceDefinition."""
        names = {
            "kind": self.name,
            "listKind": f"{self.name}List",
            "plural": self.plural,
            "singular": self.name.lower(),
            "shortNames": [self.short],
            "categories": ["kernelhealth"],
        }
        version = {
            "name": VERSION,
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "additionalPrinterColumns": self.columns,
            "schema": {"openAPIV3Schema": self.schema},
        }
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{self.plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version]},
        }


def kinds(catalogue: Catalogue) -> tuple[Kind, ...]:
    """Return all kinds, in the order in which they are documented."""
    return (
        Kind(
            "KernelHealthPolicy",
            "kernelhealthpolicies",
            "khp",
            columns.kernel_health_policy(),
            _policy(catalogue),
        ),
        Kind(
            "NodeKernelHealth",
            "nodekernelhealths",
            "nkh",
            columns.node_kernel_health(catalogue),
            _health(catalogue),
        ),
        Kind(
            "NodeRemediation",
            "noderemediations",
            "nr",
            columns.node_remediation(),
            _treatment(catalogue),
        ),
    )


def _policy(catalogue: Catalogue) -> Schema:
    spec = structural(KernelHealthPolicySpec, Defaults.STORED)
    _compose(spec, "detectors", composition.thresholds, catalogue)
    _compose(at(spec, "rules[]"), "actions", composition.actions, catalogue)
    policy_rules.constrain(spec, catalogue)
    return _whole(
        "Which nodes are governed, what counts as sick, what is done, and within which bounds.",
        spec,
        structural(KernelHealthPolicyStatus),
    )


def _health(catalogue: Catalogue) -> Schema:
    spec = structural(NodeKernelHealthSpec)
    _compose(spec, "detectors", composition.thresholds, catalogue)
    limit_strings(spec, 253)
    for detector in catalogue.detectors:
        policy_rules.durations(at(spec, f"detectors.{detector.key}"))
    status = structural(NodeKernelHealthStatus)
    keep_unknown(status)
    whole = _whole("The health of the kernel of the node of the same name.", spec, status)
    del whole["required"]  # An agent may report before the operator has said anything.
    return whole


def _treatment(catalogue: Catalogue) -> Schema:
    spec = structural(NodeRemediationSpec, Defaults.STORED)
    _compose(spec, "plan", composition.actions, catalogue)
    treatment_rules.constrain(spec, catalogue)
    whole = _whole(
        "One incident on one node, from the proposal to the proof that it helped.",
        spec,
        structural(NodeRemediationStatus),
    )
    whole["x-kubernetes-validations"] = [treatment_rules.ended().written()]
    return whole


def _compose(spec: Schema, name: str, make: composition.Composer, catalogue: Catalogue) -> None:
    """Replace the free map *name* of the model, keeping its words, by what is really there."""
    spec["properties"][name] = make(catalogue, at(spec, name)["description"])


def _whole(description: str, spec: Schema, status: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": spec, "status": status},
    }
