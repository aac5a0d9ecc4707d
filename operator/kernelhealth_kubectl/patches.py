"""A person's word: one patch each, the very one that kubectl could send as well."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_operator import kinds
from kernelhealth_operator.cluster.call import JSON_PATCH, MERGE_PATCH
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.policy.situation import IGNORE

BECAUSE = "kernelhealth.io/because"
"""Annotation of a NodeRemediation: who decided about it, and why."""
IGNORED_BECAUSE = "kernelhealth.io/ignored-because"
"""Annotation of a Node: who had it left out, and why."""
_MANAGER = "kubectl-kernelhealth"
_PATHS = {
    "node": kinds.NODES,
    "noderemediation": kinds.REMEDIATIONS,
    "kernelhealthpolicy": kinds.POLICIES,
}


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch of one object; *done* says in a word what it comes to.

    A mapping is a merge patch, a list of operations a JSON patch.
    """

    kind: str
    name: str
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    done: str

    def command(self, flags: Sequence[str] = ()) -> str:
        """Return the command that does the same."""
        text = json.dumps(self.body, separators=(",", ":"))
        how = "--type=merge" if isinstance(self.body, Mapping) else "--type=json"
        words = ("kubectl", *flags, "patch", self.kind, self.name, how, "-p", text)
        return shlex.join(words)

    async def send(self, session: ApiSession) -> None:
        """Send it; raises ``ApiError``."""
        path = f"{_PATHS[self.kind]}/{self.name}"
        merges = isinstance(self.body, Mapping)
        await session.request(
            "PATCH",
            path,
            body=dict(self.body) if isinstance(self.body, Mapping) else list(self.body),
            content_type=MERGE_PATCH if merges else JSON_PATCH,
            field_manager=_MANAGER,
        )


def decide(name: str, said: Decision, who_and_why: str | None) -> Patch:
    """Return the patch by which a person decides about the NodeRemediation *name*."""
    body: dict[str, Any] = {"spec": {"decision": str(said)}}
    if who_and_why is not None:
        body["metadata"] = {"annotations": {BECAUSE: who_and_why}}
    return Patch("noderemediation", name, body, str(said).lower())


def leave_out(node: str, who_and_why: str) -> Patch:
    """Return the patch by which nothing is done to the Node *node* any more."""
    metadata = {"labels": {IGNORE: "true"}, "annotations": {IGNORED_BECAUSE: who_and_why}}
    return Patch("node", node, {"metadata": metadata}, "paused")


def take_in(node: str) -> Patch:
    """Return the patch by which the Node *node* is treated like others again."""
    metadata = {"labels": {IGNORE: None}, "annotations": {IGNORED_BECAUSE: None}}
    return Patch("node", node, {"metadata": metadata}, "resumed")


def pause(policy: str, held: Sequence[str], entry: str) -> Patch:
    """Return the patch that adds *entry* to the pauses *held* by the policy.

    What is there already stays, whoever wrote it meanwhile.
    """
    if held:
        return Patch("kernelhealthpolicy", policy, [_operation("add", "/-", entry)], "paused")
    absent, first = _operation("test", "", None), _operation("add", "", [entry])
    return Patch("kernelhealthpolicy", policy, [absent, first], "paused")


def resume(policy: str, held: Sequence[str], left: Sequence[str], done: str) -> Patch:
    """Return the patch that leaves the policy with the pauses *left*, if it has just those *held*.

    The status of a policy is written all the time, so that its resourceVersion says nothing.
    """
    same = _operation("test", "", list(held))
    change = _operation("replace", "", list(left))
    return Patch("kernelhealthpolicy", policy, [same, change], done)


def _operation(name: str, path: str, value: object) -> dict[str, object]:
    return {"op": name, "path": f"/spec/pauseRequests{path}", "value": value}
