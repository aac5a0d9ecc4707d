"""A cluster that somebody else made, used only when it is plainly meant for tests."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from kernelhealth_e2e.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "KERNELHEALTH_KUBECONFIG"
ALLOWED = ("kind-*", "k3d-*", "minikube", "kernelhealth-*")


def kubeconfig(environ: Mapping[str, str]) -> Path | None:
    """Return the kubeconfig that the environment names, None when it names none.

    A file that is not there, is no kubeconfig, or whose current context is not on the short list
    of test clusters' names is refused: nobody tests on production by mistake.
    """
    named = environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named)
    context = _current_context(path)
    if not any(fnmatch.fnmatchcase(context, pattern) for pattern in ALLOWED):
        raise HarnessError(
            f"{VARIABLE}={path}: its current-context {context!r} is not a test cluster's name "
            f"({', '.join(ALLOWED)}); switch with `kubectl config use-context`, or unset it"
        )
    return path


def _current_context(path: Path) -> str:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{VARIABLE}={path} cannot be read as a kubeconfig: {error}") from error
    context = content.get("current-context") if isinstance(content, dict) else None
    if not isinstance(context, str) or not context:
        raise HarnessError(f"{VARIABLE}={path} has no current-context; set one in that file")
    return context
