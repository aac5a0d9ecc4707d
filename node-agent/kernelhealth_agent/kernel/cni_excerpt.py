"""What may be given away of a CNI result: all that ``cni_cache`` reads, and nothing else.

The cache keeps the whole network configuration and all arguments, which for many plugins have
tokens and passwords in them (``k8s_auth_token``, ``etcd_password``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from kernelhealth_agent.kernel import cni_cache, plugin_state

_KEPT = ("kind", "containerId", "networkName", "ifName", "netns")
_RESULT = ("interfaces", "ips", "ip4", "ip6")
_IPAM = ("type", "subnet", "rangeStart", "rangeEnd", "ranges")
_ARGUMENTS = ("K8S_POD_NAMESPACE", "K8S_POD_NAME")


def concerns(path: str) -> bool:
    """Whether a file, by its path below the host's root, is a CNI result or a plugin's state."""
    return path.rpartition("/")[0] in cni_cache.PLACES or path in plugin_state.DECODERS


def excerpt(text: bytes) -> bytes:
    """Return a CNI result without what nobody here reads; of what is none only that it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return b"no JSON\n"
    if not isinstance(found, dict):
        return b"[]\n"
    if plugin_state.is_state(found):
        return json.dumps(plugin_state.pruned(found), indent=1).encode() + b"\n"
    kept = _only(found, (*_KEPT, *_RESULT))
    if isinstance(found.get("result"), dict):
        kept["result"] = _only(found["result"], _RESULT)
    arguments = found.get("cniArgs")
    if isinstance(arguments, list):
        kept["cniArgs"] = [pair for pair in arguments if _is_of_pod(pair)]
    if "config" in found:
        kept["config"] = _configuration(found["config"])
    return json.dumps(kept, indent=1).encode() + b"\n"


def _only(found: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


def _is_of_pod(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and pair[0] in _ARGUMENTS


def _configuration(config: object) -> str:
    """Return the configuration with the address managers' ranges only, in Base64 as it was."""
    try:
        plugin = json.loads(base64.b64decode(str(config), validate=True))
    except (ValueError, RecursionError):
        return ""
    kept: dict[str, Any] = {}
    if isinstance(plugin, dict):
        kept = _ranges(plugin)
        if isinstance(plugin.get("plugins"), list):
            kept["plugins"] = [_ranges(item) for item in plugin["plugins"]]
    return base64.b64encode(json.dumps(kept).encode()).decode()


def _ranges(plugin: object) -> dict[str, Any]:
    ipam = plugin.get("ipam") if isinstance(plugin, dict) else None
    return {"ipam": _only(ipam, _IPAM)} if isinstance(ipam, dict) else {}
