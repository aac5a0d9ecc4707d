"""The cache of CNI results that libcni keeps of each attachment from ADD to DEL.

One file per container and interface, ``NETWORK-CONTAINER-INTERFACE``, in one of two directories.
Its JSON (libcni/api.go, type cachedInfo) has the pod in ``cniArgs`` and, in ``result.interfaces``,
the host's end of a veth pair as the interface without a sandbox::

    {"kind": "cniCacheV1", "containerId": …, "networkName": …, "ifName": "eth0", "netns": …,
     "config": base64, "cniArgs": [["K8S_POD_NAME", "web-0"], …], "result": {…}}

Older versions of libcni wrote the result alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_agent import errors

PLACES = ("var/lib/cni/results", "var/lib/cni/cache/results")
_FILE = re.compile(r"(?P<network>.+)-(?P<container>[0-9a-f]{64})-(?P<interface>[^-]+)")
_MOST = 64


@dataclass(frozen=True, slots=True)
class Attachment:
    """One interface that a plugin gave to a sandbox; *file* is its cache file.

    *host_links* are the names of interfaces outside the sandbox, bridges among them, and *pool* is
    how many addresses the network can give away, where host-local gives them. A *shared* file has
    other attachments too and must not be deleted.
    """

    file: str
    network: str
    sandbox: str
    interface: str
    netns: str | None = None
    pod: tuple[str, str] | None = None
    host_links: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    pool: int | None = None
    shared: bool = False


def attachment(text: bytes, file: str) -> Attachment | None:
    """Decode one cache file; None for one that neither its content nor its name explains.

    Raises ``UnreadableError`` for what is no JSON object, such as a file that is being written.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(file, f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.UnreadableError(file, "it is no JSON object")
    if found.get("kind") == "cniCacheV1":
        return _cached(found, file)
    match = _FILE.fullmatch(file.rpartition("/")[2])
    if match is None:
        return None
    return Attachment(
        file,
        match["network"],
        match["container"],
        match["interface"],
        host_links=tuple(_host_links(found)),
        addresses=tuple(_addresses(found)),
    )


def _cached(found: Mapping[str, Any], file: str) -> Attachment:
    result = found.get("result")
    result = result if isinstance(result, dict) else {}
    sandbox = _string(found.get("containerId"))
    if sandbox is None:
        raise errors.UnreadableError(file, "containerId is missing")
    return Attachment(
        file=file,
        network=_string(found.get("networkName")) or "",
        sandbox=sandbox,
        interface=_string(found.get("ifName")) or "",
        netns=_string(found.get("netns")),
        pod=_pod(found.get("cniArgs")),
        host_links=tuple(_host_links(result)),
        addresses=tuple(_addresses(result)),
        pool=_pool(found.get("config")),
    )


def _string(value: Any) -> str | None:
    """Return a text that can be printed and hashed; JSON lets halves of characters through."""
    if not isinstance(value, str) or not value:
        return None
    return value.encode(errors="replace").decode()


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in value[:_MOST] if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def _pod(arguments: Any) -> tuple[str, str] | None:
    pairs = {
        pair[0]: pair[1]
        for pair in (arguments if isinstance(arguments, list) else ())
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
    }
    namespace = _string(pairs.get("K8S_POD_NAMESPACE"))
    name = _string(pairs.get("K8S_POD_NAME"))
    return (namespace, name) if namespace and name else None


def _host_links(result: Mapping[str, Any]) -> Iterator[str]:
    for item in _objects(result.get("interfaces")):
        name = _string(item.get("name"))
        if name is not None and not item.get("sandbox"):
            yield name


def _addresses(result: Mapping[str, Any]) -> Iterator[str]:
    values = [item.get("address") for item in _objects(result.get("ips"))]
    for key in ("ip4", "ip6"):  # CNI 0.2.0 and older.
        values += [item.get("ip") for item in _objects([result.get(key)])]
    for value in values:
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                yield str(ipaddress.ip_interface(value).ip)


def _pool(config: Any) -> int | None:
    """Return how many addresses host-local can give away by a network's configuration."""
    if not isinstance(config, str):
        return None
    try:
        plugin = json.loads(base64.b64decode(config, validate=True))
    except (ValueError, RecursionError, binascii.Error):
        return None
    if not isinstance(plugin, dict):
        return None
    for item in (plugin, *_objects(plugin.get("plugins"))):
        ipam = item.get("ipam")
        if isinstance(ipam, dict) and ipam.get("type") == "host-local":
            return _smallest_set(ipam)
    return None


def _smallest_set(ipam: Mapping[str, Any]) -> int | None:
    """Return the size of the smallest range set: each pod gets an address of every set."""
    listed = ipam.get("ranges")
    sets = listed[:_MOST] if isinstance(listed, list) and listed else [[ipam]]
    sizes = [sum(map(_size, _objects(ranges))) for ranges in sets]
    return min((size for size in sizes if size > 0), default=None)


def _size(found: Mapping[str, Any]) -> int:
    """Return the addresses of a range: its subnet without network, broadcast and gateway."""
    try:
        subnet = ipaddress.ip_network(str(found.get("subnet")), strict=False)
        if "rangeStart" in found and "rangeEnd" in found:
            first, last = (ipaddress.ip_address(str(found[k])) for k in ("rangeStart", "rangeEnd"))
            return int(last) - int(first) + 1
    except ValueError:
        return 0
    return max(subnet.num_addresses - 3, 0)
