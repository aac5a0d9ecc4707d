"""Every deed that there is, found by looking for them: how far it goes, and who refuses it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import types
import typing
from typing import Any

import pytest

from kernelhealth_agent import practice
from kernelhealth_agent.fix import Deed
from kernelhealth_agent.hands import DryHands, RefusingHands
from kernelhealth_agent.hosts import deeds
from kernelhealth_agent.hosts.deeds import reboots
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel.routing import Rule
from kernelhealth_agent.kernel.tcp_sockets import Ends
from kernelhealth_api.v1alpha1.request import RebootMethod

KNOWN: dict[Any, Any] = {
    str: "1: x",
    bytes: b"",
    int: 1,
    bool: False,
    Rule: Rule(1, 7, "192.0.2.1", None),
    Ends: Ends("192.0.2.1", 1, "192.0.2.2", 2),
}


def modules() -> list[types.ModuleType]:
    return [
        importlib.import_module(f"{deeds.__name__}.{found.name}")
        for found in pkgutil.iter_modules(deeds.__path__)
    ]


def is_deed(found: object) -> bool:
    """Whether it is one by what it can do: no list has to be kept."""
    return inspect.isclass(found) and all(hasattr(found, part) for part in ("do", "host_wide"))


EVERY = sorted(
    {
        found
        for module in modules()
        for found in vars(module).values()
        if is_deed(found) and found.__module__ == module.__name__
    },
    key=lambda found: found.__name__,
)
FAR = re.compile(
    r"libc\.reboot|os\.kill\(1,|reboot\(2\)|delete_module|_NUMBERS\b|sys/bus/|sysctl_limits\.path"
    r"|_write\(place|os\.unlink\(name"
)
"""How a deed ends a boot or a module, sets a sysctl, touches a driver or a configuration."""
OF_ONE_POD = {"PutAway"}
"""Deletes files as well, but a plugin's own, of one sandbox each."""


def value(kind: Any, space: Space) -> Any:
    if kind is Space:
        return space
    if kind in KNOWN:
        return KNOWN[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return ()
    if origin in {typing.Union, types.UnionType}:
        return None if type(None) in parts else value(parts[0], space)
    raise AssertionError(f"a deed has a field of a kind that is not known here: {kind}")


def built(kind: Any, *, on_host: bool) -> Deed:
    """Build a deed of any kind, which is never done here."""
    space = Space(4026531833, "proc/1/ns/net", is_host=on_host)
    hints = typing.get_type_hints(kind)
    fields = {field.name: value(hints[field.name], space) for field in dataclasses.fields(kind)}
    made: Deed = kind(**fields)
    return made


def test_the_deeds_are_found_and_every_fix_and_reboot_is_made_of_them() -> None:
    used = {
        found
        for fix in practice.every().values()
        for found in vars(importlib.import_module(inspect.getmodule(fix.aims).__name__)).values()  # type: ignore[union-attr]
        if is_deed(found) and found is not Deed
    }

    assert used <= set(EVERY)
    assert {type(reboots.deed(method, "b", "r", None)) for method in RebootMethod} <= set(EVERY)
    assert len(EVERY) > len(used)


@pytest.mark.parametrize("on_host", [True, False], ids=["of the host", "of a pod"])
@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_hands_that_refuse_do_nothing_that_is_the_whole_hosts(kind: Any, *, on_host: bool) -> None:
    deed, inner = built(kind, on_host=on_host), DryHands()
    hands = RefusingHands(inner)

    against = hands.objection(deed)
    try:
        hands.do(deed, "request-1")
    except PermissionError as error:
        assert str(error) == against  # noqa: PT017 - Whether it is raised depends on the deed.

    assert bool(against) == deed.host_wide
    assert ("KERNELHEALTH_HANDS=refuse-host-wide" in against) == deed.host_wide
    assert inner.told == ([] if deed.host_wide else [deed.name])


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_nobody_can_build_a_deed_that_says_it_goes_less_far(kind: Any) -> None:
    with pytest.raises(TypeError):
        kind(host_wide=False)
    with pytest.raises((AttributeError, TypeError)):
        built(kind, on_host=True).host_wide = False  # type: ignore[misc]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_what_reboots_unloads_or_configures_the_host_is_marked_so(kind: Any) -> None:
    goes_far = FAR.search(inspect.getsource(kind)) is not None
    acts_in_a_space = any(field.type == "Space" for field in dataclasses.fields(kind))

    if goes_far and kind.__name__ not in OF_ONE_POD:
        assert kind.host_wide is True
    if acts_in_a_space:
        assert built(kind, on_host=True).host_wide


def test_the_marks_are_where_they_have_to_be() -> None:
    """So that the test above cannot pass by finding nothing."""
    far = {kind.__name__ for kind in EVERY if FAR.search(inspect.getsource(kind))} - OF_ONE_POD

    assert far == {
        "CleanReboot", "ForcedReboot", "UnloadModule", "SetSysctl", "Rebind", "WriteFile",
        "PutBack", "DeleteFile",
    }  # fmt: skip


@pytest.mark.parametrize("method", list(RebootMethod))
def test_each_method_of_a_reboot_is_host_wide_but_for_the_hook_of_an_administrator(
    method: RebootMethod,
) -> None:
    assert reboots.deed(method, "b", "r", None).host_wide
    assert not reboots.deed(method, "b", "r", "/run/hook.sock").host_wide
