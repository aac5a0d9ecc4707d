from __future__ import annotations

from kernelhealth_build import alerts
from kernelhealth_build.catalogue import Catalogue


def test_a_reason_has_an_alert_for_each_severity_that_is_worth_one(
    catalogue: Catalogue,
) -> None:
    sockets = alerts.rules(catalogue)["spec"]["groups"][1]

    assert sockets["name"] == "kernelhealth-stuck-sockets"
    assert [
        (rule["alert"], rule["labels"]["severity"], rule["expr"]) for rule in sockets["rules"][:2]
    ] == [
        (
            "SocketStuck",
            "warning",
            'kernelhealth_findings{reason="SocketStuck",severity="Warning"} > 0',
        ),
        (
            "SocketStuck",
            "critical",
            'kernelhealth_findings{reason="SocketStuck",severity="Critical"} > 0',
        ),
    ]


def test_an_alert_tells_the_meaning_and_where_to_look(catalogue: Catalogue) -> None:
    rule = alerts.rules(catalogue)["spec"]["groups"][1]["rules"][0]

    assert rule["annotations"] == {
        "summary": "SocketStuck (Warning) on {{ $labels.instance }}",
        "description": "It waits. kubectl get nodekernelhealths -o yaml names the subjects and "
        "what cures them.",
    }


def test_no_finding_of_severity_info_raises_an_alert(catalogue: Catalogue) -> None:
    groups = alerts.rules(catalogue)["spec"]["groups"]

    severities = [rule["labels"]["severity"] for group in groups for rule in group["rules"]]
    assert set(severities) == {"warning", "critical"}
