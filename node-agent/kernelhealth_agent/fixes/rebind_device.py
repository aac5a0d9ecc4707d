"""RebindDevice: brings a network function back whose interface is out of reach."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial

from kernelhealth_agent import errors, reexamination, stray_functions
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.bindings import Rebind
from kernelhealth_agent.kernel import network_functions
from kernelhealth_agent.kernel.network_functions import NetworkFunction
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "RebindDevice"
_KEYS = ("address", "parent", "driver")


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each network function."""
    for observation in observations:
        if _NAME in observation.cures:
            title = f"network function {observation.subject.device or observation.key}"
            yield Aim(observation.key, title, observation)


def objection(places: Places, host: Host, aim: Aim) -> str:
    """Return what speaks against it: somebody can reach the interface, or functions hang on it."""
    lacking = reexamination.missing(aim.observation, *_KEYS)
    if lacking:
        return lacking
    now = reexamination.premises(host, aim.observation, places)
    if now.inventory.blind:
        return f"not every namespace can be looked into: {now.inventory.blind[0]}"
    blind: list[str] = []
    lost = stray_functions.lost(host, now.inventory, blind)
    if not any(_is_meant(each.function, aim.observation) for each in lost):
        return blind[0] if blind else "its interface can be reached"
    return _dependants(host, aim.observation)


def _dependants(host: Host, observation: Observation) -> str:
    """Return which virtual functions would go with it: unbinding a parent takes its children."""
    path = f"{network_functions.PCI}/{reexamination.text(observation, 'address')}/sriov_numvfs"
    with contextlib.suppress(errors.AbsentError):
        count = host.read(path, 64).strip()
        if count != b"0":
            return f"{count.decode(errors='replace')} virtual functions would be lost with it"
    return ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It was found a moment ago.
    """Unbind it and bind it again; of virtio the device that carries the function."""
    address, parent, driver = _identity(aim.observation)
    yield Rebind("pci" if parent == address else "virtio", parent, driver)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether the host has an interface of the function; drivers make it a moment later."""
    for function in stray_functions.functions(host):
        if _is_meant(function, aim.observation):
            with contextlib.suppress(errors.AbsentError):
                return any(not name.startswith(".") for name in host.names(function.interfaces))
    return False


def _identity(observation: Observation) -> tuple[str, str, str]:
    address, parent, driver = (reexamination.text(observation, key) or "" for key in _KEYS)
    return address, parent, driver


def _is_meant(function: NetworkFunction, observation: Observation) -> bool:
    return (function.address, function.parent, function.driver) == _identity(observation)


def made(places: Places) -> Fix:
    """Return the fix for a host whose kubelet has its pods at these *places*."""
    looks = partial(objection, places), deeds, achieved
    return Fix(_NAME, Stage.RECLAIM, aims, *looks, at=made)


FIX = made(Places())
