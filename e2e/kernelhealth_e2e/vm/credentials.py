"""How the kubelet of a virtual machine logs in: by a certificate of the cluster's authority.

The tokens of the API server are read once, when it starts; a certificate can be signed at any time.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from kernelhealth_e2e.kubeconfig import CONTEXT

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.controlplane import ControlPlane


def kubeconfig(control_plane: ControlPlane, name: str) -> str:
    """Sign a certificate for the kubelet of a Node; give a kubeconfig that holds all it needs."""
    pair = control_plane.authority.issue(name, f"/O=system:nodes/CN=system:node:{name}")
    cluster = {
        "server": control_plane.inner_server,
        "certificate-authority-data": _encoded(control_plane.ca),
    }
    user = {
        "client-certificate-data": _encoded(pair.certificate),
        "client-key-data": _encoded(pair.key),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    return json.dumps(content, indent=1) + "\n"


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
