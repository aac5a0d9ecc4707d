from __future__ import annotations

from typing import Any

from kernelhealth_build import roles
from kernelhealth_build.catalogue import Catalogue


def test_the_agent_may_look_at_its_object_and_report_and_nothing_else() -> None:
    assert _rights(roles.agent()) == {
        "kernelhealth.io/nodekernelhealths": ["get", "watch"],
        "kernelhealth.io/nodekernelhealths/status": ["patch"],
    }


def test_the_operator_may_do_what_the_remediations_need_and_each_resource_stands_once(
    catalogue: Catalogue,
) -> None:
    always, *_ = roles.operator(catalogue)
    rights = _rights(always)

    assert rights["/nodes"] == ["get", "list", "patch", "watch"]
    assert rights["/pods/eviction"] == ["create"]
    assert len(rights) == len(always["rules"])


def test_without_remediations_the_operator_may_not_change_nodes() -> None:
    always, *_ = roles.operator(Catalogue((), ()))

    assert _rights(always)["/nodes"] == ["get", "list", "watch"]


def test_the_operator_has_no_rights_by_wildcard_and_none_on_secrets(catalogue: Catalogue) -> None:
    for role in roles.operator(catalogue):
        for resource, verbs in _rights(role).items():
            assert "*" not in "".join([*verbs, resource])
            assert "secrets" not in resource


def test_the_lease_and_the_events_are_granted_in_one_namespace_each(catalogue: Catalogue) -> None:
    _, lease, events = roles.operator(catalogue)

    assert (lease["kind"], lease["metadata"]["namespace"]) == ("Role", "kernelhealth-system")
    assert (events["kind"], events["metadata"]["namespace"]) == ("Role", "default")


def _rights(role: dict[str, Any]) -> dict[str, list[str]]:
    return {
        f"{rule['apiGroups'][0]}/{rule['resources'][0]}": rule["verbs"] for rule in role["rules"]
    }
