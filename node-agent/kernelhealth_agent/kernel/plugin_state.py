"""What CNI plugins themselves remember of all their attachments, in one file.

The AWS VPC CNI keeps ``/run/aws-node/ipam.json`` (pkg/ipamd/datastore, since 1.12)::

    {"version": "vpc-cni-ipam/1", "allocations": [{"networkName": "aws-cni", "containerID": …,
     "ifName": "eth0", "ipv4": "10.0.0.7", "metadata": {"k8sPodNamespace": …, "k8sPodName": …}}]}

and the Azure CNI ``/run/azure-vnet.json`` (network/manager.go), with the host's end of each link::

    {"Network": {"ExternalInterfaces": {"eth0": {"Networks": {"azure": {"Endpoints": {ID: {
     "ContainerID": …, "HostIfName": "azv…", "IfName": "eth0", "PODName": …, "PODNameSpace": …,
     "NetworkNameSpace": …, "IPAddresses": [{"IP": "10.1.0.4", "Mask": …}]}}}}}}}}
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.kernel.cni_cache import Attachment

AWS, AZURE = "run/aws-node/ipam.json", "run/azure-vnet.json"
_MAPPINGS = frozenset({"ExternalInterfaces", "Networks", "Endpoints"})
_READ = frozenset(
    {
        *("allocations", "networkName", "containerID", "ifName", "ipv4", "ipv6"),
        *("metadata", "k8sPodNamespace", "k8sPodName"),
        *("Network", "Id", "ContainerID", "HostIfName", "IfName", "NetworkNameSpace"),
        *("PODName", "PODNameSpace", "IPAddresses", "IP"),
    }
)
_DEEPEST = 10
_MOST = 4096
_LONGEST = 256


def attachments(text: bytes, file: str) -> tuple[Attachment, ...]:
    """Decode a file of ``DECODERS``; what in it is no attachment is left out.

    Raises ``UnreadableError`` for what is no JSON object, such as a file that is being written.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(file, f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.UnreadableError(file, "it is no JSON object")
    return tuple(DECODERS[file](found, file))


def is_state(found: Mapping[str, Any]) -> bool:
    """Whether an object is one of those files, and no result of libcni."""
    return "kind" not in found and not {"allocations", "Network"}.isdisjoint(found)


def pruned(found: Any, *, names: bool = True, depth: int = 0) -> Any:
    """Return a state without what is not read of it; unless *names*, all keys stay."""
    if isinstance(found, dict):
        kept = _READ | _MAPPINGS
        return {
            key: pruned(value, names=key not in _MAPPINGS, depth=depth + 1)
            for key, value in found.items()
            if depth < _DEEPEST and (not names or key in kept)
        }
    if isinstance(found, list):
        return [pruned(item, depth=depth + 1) for item in found if depth < _DEEPEST]
    return found


def _aws(found: Mapping[str, Any], file: str) -> Iterator[Attachment]:
    for item in _objects(found.get("allocations")):
        sandbox = _string(item.get("containerID"))
        metadata = item.get("metadata")
        pod = metadata if isinstance(metadata, dict) else {}
        if sandbox is not None:
            yield Attachment(
                file=file,
                network=_string(item.get("networkName")) or "",
                sandbox=sandbox,
                interface=_string(item.get("ifName")) or "",
                pod=_pod(pod.get("k8sPodNamespace"), pod.get("k8sPodName")),
                addresses=tuple(_addresses((item.get("ipv4"), item.get("ipv6")))),
                shared=True,
            )


def _azure(found: Mapping[str, Any], file: str) -> Iterator[Attachment]:
    state = found.get("Network")
    for interface in _members(state if isinstance(state, dict) else found, "ExternalInterfaces"):
        for network in _members(interface, "Networks"):
            for item in _members(network, "Endpoints"):
                sandbox, link = _string(item.get("ContainerID")), _string(item.get("HostIfName"))
                if sandbox is not None:
                    addresses = (x.get("IP") for x in _objects(item.get("IPAddresses")))
                    yield Attachment(
                        file=file,
                        network=_string(network.get("Id")) or "",
                        sandbox=sandbox,
                        interface=_string(item.get("IfName")) or "",
                        netns=_string(item.get("NetworkNameSpace")),
                        pod=_pod(item.get("PODNameSpace"), item.get("PODName")),
                        host_links=(link,) if link else (),
                        addresses=tuple(_addresses(addresses)),
                        shared=True,
                    )


DECODERS: Mapping[str, Callable[[Mapping[str, Any], str], Iterator[Attachment]]] = {
    AWS: _aws,
    AZURE: _azure,
}
"""How each file is read, by its path below the host's root."""


def _members(found: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a mapping."""
    inner = found.get(key)
    return _objects(list(inner.values()) if isinstance(inner, dict) else None)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in value[:_MOST] if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def _string(value: Any) -> str | None:
    """Return a text that can be printed and hashed; JSON lets halves of characters through."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        return None
    return value.encode(errors="replace").decode()


def _pod(namespace: Any, name: Any) -> tuple[str, str] | None:
    found = (_string(namespace), _string(name))
    return (found[0], found[1]) if found[0] and found[1] else None


def _addresses(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                yield str(ipaddress.ip_address(value))
