from __future__ import annotations

import pytest

from kernelhealth_agent.settings import Settings as AgentSettings
from kernelhealth_build import documentation, environment
from kernelhealth_build.catalogue import Catalogue
from kernelhealth_operator.settings import Settings as OperatorSettings


@pytest.mark.parametrize(
    "line",
    [
        "## stuckSockets",
        "Sockets that no longer move. Condition: `SocketsHealthy`.",
        "| `SocketStuck` | Warning | `confirmAfter` | `criticalCount` | It waits. |",
        "| `SocketSlow` | Info | at once | never | It is slow. |",
        "| `criticalCount` | integer | How many are critical. Default: 10. |",
        "| `kernelhealth_stuck_sockets` | Sockets that are stuck. |",
        "It has no parameters.",
    ],
)
def test_the_page_of_detectors_says_what_they_find_and_what_can_be_set(
    catalogue: Catalogue, line: str
) -> None:
    assert line in documentation.detectors(catalogue).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "## slowDrain",
        "Moves the pods away. Pods are evicted from the node.",
        "| `timeLimit` | string | How long it may take. Default: 30m. |",
        "| create | `pods/eviction` |",
        "It has no parameters: `{}`.",
    ],
)
def test_the_page_of_remediations_says_what_they_cost_and_need(
    catalogue: Catalogue, line: str
) -> None:
    assert line in documentation.remediations(catalogue).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "## NodeKernelHealth (`nkh`)",
        "| `spec.recovery` | object | When a node is given back. |",
        "| `status.findings[].count` | integer | How many subjects are folded into this finding. |",
        "- actions: each entry must name exactly one action, one of mark, slowDrain",
    ],
)
def test_the_page_of_resources_has_every_field_and_every_demand(
    catalogue: Catalogue, line: str
) -> None:
    assert line in documentation.resources(catalogue).splitlines()


def test_the_page_of_metrics_has_the_signals_and_the_alerts(catalogue: Catalogue) -> None:
    lines = documentation.metrics(catalogue).splitlines()

    assert "| `kernelhealth_stuck_sockets` |  | Sockets that are stuck. | stuckSockets |" in lines
    assert "| `SocketStuck` | Warning | It waits. |" in lines


@pytest.mark.parametrize(
    ("variable", "default", "meaning"),
    [
        ("METRICS_PORT", "`9469`", "Port that the metrics are served on; 0 picks a free one and"),
        ("REFRESH_PERIOD", "`10m`", "How often an agent writes its report even when nothing"),
        ("DRY_RUN", "`false`", "Decides everything and changes no Node; what would be done is"),
        ("SILENT_AFTER", "", "Overrides refresh_period times missed_refreshes. |"),
    ],
)
def test_the_page_of_settings_has_each_variable_as_it_would_be_set(
    variable: str, default: str, meaning: str
) -> None:
    begins = f"| `KERNELHEALTH_{variable}` | {default} | {meaning}"

    assert any(line.startswith(begins) for line in environment.settings().splitlines())


@pytest.mark.parametrize("kind", [AgentSettings, OperatorSettings])
def test_every_setting_says_what_it_is(kind: type[AgentSettings | OperatorSettings]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []
