"""Writes every file that follows from the code; ``--check`` only says which are stale.

python crds/generate.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernelhealth_agent.handbook import shipped as shipped_handbook
from kernelhealth_build import (
    alerts,
    catalogue,
    custom_resources,
    documentation,
    environment,
    farewell,
    handbook,
    paper,
    roles,
    vocabulary,
)

ROOT = Path(__file__).resolve().parent.parent


def files(known: catalogue.Catalogue) -> dict[str, str]:
    """Return the text of every generated file, by its path in the tree."""
    kinds, book = custom_resources.kinds(known), shipped_handbook()
    definitions = {f"{kind.plural}.yaml": paper.manifest(kind.definition()) for kind in kinds}
    listing = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(definitions),
    }
    # Named without an ending, so that kubectl apply -f crds takes the definitions only.
    return {
        **{f"crds/{name}": text for name, text in definitions.items()},
        "crds/Kustomization": paper.manifest(listing),
        "crds/kernelhealth_api/catalogue.json": vocabulary.listed(known, tuple(book.causes)),
        "manifests/base/agent-role.yaml": paper.manifest(roles.agent()),
        "manifests/base/operator-role.yaml": paper.manifest(*roles.operator(known)),
        "manifests/alerts/alerts.yaml": paper.manifest(alerts.rules(known)),
        "manifests/farewell.yaml": paper.manifest(farewell.patch(known)),
        "docs/causes.md": handbook.causes(book),
        "docs/detectors.md": documentation.detectors(known),
        "docs/metrics.md": documentation.metrics(known),
        "docs/reasons.md": handbook.reasons(known, book),
        "docs/remediations.md": documentation.remediations(known),
        "docs/resources.md": documentation.resources(known),
        "docs/settings.md": environment.settings(),
    }


def stale(root: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the paths of the files below *root* that are not as they are wanted."""
    return [name for name, text in wanted.items() if _text(root / name) != text]


def write(root: Path, wanted: Mapping[str, str]) -> list[str]:
    """Write the files below *root* that are not as they are wanted, and return their paths."""
    changed = stale(root, wanted)
    for name in changed:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[name], encoding="utf-8")
    return changed


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` compare them: exit 1 names those that are stale."""
    parser = argparse.ArgumentParser(description="Writes every file that follows from the code.")
    parser.add_argument("--check", action="store_true", help="only say which files are stale")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree, if not this one")
    options = parser.parse_args(arguments)
    wanted = files(catalogue.shipped())
    if not options.check:
        print(
            "\n".join(f"wrote {name}" for name in write(options.root, wanted))
            or "all files are fresh"
        )
        return 0
    for name in (found := stale(options.root, wanted)):
        print(f"{name} is stale: run make generate")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
