from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kernelhealth_api.detector import Detector, Params, Reason, Severity
from kernelhealth_api.schema import Schema
from kernelhealth_build import catalogue as catalogues
from kernelhealth_build import custom_resources
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_build.custom_resources import Kind
from kernelhealth_build.validations import at


@pytest.fixture
def kinds(catalogue: Catalogue) -> dict[str, Kind]:
    return {kind.name: kind for kind in custom_resources.kinds(catalogue)}


def test_every_field_of_every_kind_is_described() -> None:
    undescribed = [
        f"{kind.name}.{path}"
        for kind in custom_resources.kinds(catalogues.shipped())
        for path, field in _fields(kind.schema, "")
        if len(field.get("description", "")) < 5
    ]

    assert undescribed == []


def test_every_string_list_and_map_of_a_spec_is_bounded() -> None:
    unbounded = [
        f"{kind.name}.{path}"
        for kind in custom_resources.kinds(catalogues.shipped())
        for path, field in _fields(at(kind.schema, "spec"), "spec")
        if not _bounded(field)
    ]

    assert unbounded == []


def test_all_kinds_are_cluster_scoped_and_have_a_status_of_their_own(
    kinds: dict[str, Kind],
) -> None:
    for kind in kinds.values():
        spec = kind.definition()["spec"]
        assert spec["scope"] == "Cluster"
        assert spec["versions"][0]["subresources"] == {"status": {}}
        assert spec["names"]["categories"] == ["kernelhealth"]


def test_short_names_are_as_documented(kinds: dict[str, Kind]) -> None:
    assert {kind.name: kind.short for kind in kinds.values()} == {
        "KernelHealthPolicy": "khp",
        "NodeKernelHealth": "nkh",
        "NodeRemediation": "nr",
    }


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        (
            "NodeKernelHealth",
            ["Health", "Problems", "Remediation", "Kernel", "Reported", "Age"],
        ),
        (
            "KernelHealthPolicy",
            ["Mode", "Priority", "Nodes", "Warning", "Critical", "In-Progress", "Ready", "Age"],
        ),
        ("NodeRemediation", ["Node", "Phase", "Rule", "Waiting", "Age"]),
    ],
)
def test_kubectl_get_prints_the_columns_that_are_worth_a_line(
    kinds: dict[str, Kind], name: str, columns: list[str]
) -> None:
    narrow = [column["name"] for column in kinds[name].columns if not column.get("priority")]

    assert narrow == columns


def test_the_wide_table_has_a_column_for_the_condition_of_each_detector(
    kinds: dict[str, Kind],
) -> None:
    wide = {column["name"]: column["jsonPath"] for column in kinds["NodeKernelHealth"].columns}

    assert wide["Sockets"] == '.status.conditions[?(@.type=="SocketsHealthy")].status'
    assert "Clock" in wide


def test_columns_show_fields_that_exist(kinds: dict[str, Kind]) -> None:
    for kind in kinds.values():
        for column in kind.columns:
            path = re.sub(r"\[\?\(.*\)\]", "[]", column["jsonPath"].removeprefix("."))
            if not path.startswith("metadata."):
                assert at(kind.schema, path)["description"]


@pytest.mark.parametrize("name", ["NodeKernelHealth", "KernelHealthPolicy"])
def test_thresholds_are_the_parameters_of_the_detectors_none_filled_in(
    kinds: dict[str, Kind], name: str
) -> None:
    sockets = at(kinds[name].schema, "spec.detectors.stuckSockets")

    assert sockets["description"] == "stuckSockets: Sockets that no longer move."
    assert sockets["properties"]["criticalCount"] == {
        "description": "How many are critical. Default: 10.",
        "exclusiveMinimum": True,
        "minimum": 0,
        "type": "integer",
    }
    assert "default" not in sockets["properties"]["confirmAfter"]
    assert "required" not in sockets


@pytest.mark.parametrize(
    ("name", "path"),
    [("KernelHealthPolicy", "spec.rules[].actions[]"), ("NodeRemediation", "spec.plan[]")],
)
def test_an_action_is_one_property_named_by_the_remediation(
    kinds: dict[str, Kind], name: str, path: str
) -> None:
    entry = at(kinds[name].schema, path)

    assert sorted(entry["properties"]) == ["mark", "slowDrain"]
    assert entry["x-kubernetes-validations"][0] == {
        "rule": "(has(self.mark) ? 1 : 0) + (has(self.slowDrain) ? 1 : 0) == 1",
        "message": "actions: each entry must name exactly one action, one of mark, slowDrain",
    }


def test_a_parameter_without_default_is_refused_by_name() -> None:
    class Needy(Params):
        patience: int

    reasons = (Reason("Impatient", Severity.WARNING, "It waits no longer."),)
    detector = Detector("needy", "NeedsHealthy", "It needs.", int, Needy, reasons, lambda *_: ())

    with pytest.raises(ValueError, match=r"\.Needy: give a default to patience$"):
        custom_resources.kinds(Catalogue((detector,), ()))


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    for name, member in schema.get("properties", {}).items():
        below = f"{path}.{name}".removeprefix(".")
        yield below, member
        for key in ("items", "additionalProperties"):
            if key in member:
                yield from _fields(member[key], f"{below}[]")
        yield from _fields(member, below)


def _bounded(field: Schema) -> bool:
    if field.get("type") == "string":
        return bool({"maxLength", "enum", "format"} & set(field))
    if field.get("type") == "array":
        return "maxItems" in field and _bounded(field["items"])
    if "additionalProperties" in field:
        return "maxProperties" in field and _bounded(field["additionalProperties"])
    return True
