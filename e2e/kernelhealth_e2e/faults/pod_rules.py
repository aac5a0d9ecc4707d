"""The routing rules of a pod's address, in the host's namespace, that outlived the pod."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
from collections.abc import Iterator

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

_ADDRESSES = ipaddress.IPv4Network("198.18.0.0/15")
"""For measurements (RFC 2544): nobody's pods have them."""
_ATTEMPTS = 20


@contextlib.contextmanager
def pod_rules(to: int = 512, source: int = 1536) -> Iterator[str]:
    """Make the rules that lead to and from an address, by priority; yields the address.

    The host has one list of rules for all who try something on it, and keeps what somebody left
    there who was killed: the address is another one each time. That they are gone by the end is
    fine.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        address = str(_ADDRESSES[1 + secrets.randbelow(_ADDRESSES.num_addresses - 2)])
        with contextlib.ExitStack() as undo, IPRoute() as netlink:
            try:
                for rule in _wanted(address, to, source):
                    netlink.rule("add", **rule)
                    undo.callback(_deleted, rule)
            except NetlinkError as error:
                if error.code != errno.EEXIST or attempt == _ATTEMPTS:
                    raise
                continue
            yield address
            return


def left(address: str) -> int:
    """Count the rules that name an address."""
    with IPRoute() as netlink:
        found = [dict(rule["attrs"]) for rule in netlink.get_rules()]
    return sum(address in {rule.get("FRA_SRC"), rule.get("FRA_DST")} for rule in found)


def _wanted(address: str, to: int, source: int) -> tuple[dict[str, int | str], ...]:
    return (
        {"priority": to, "dst": address, "dst_len": 32, "table": 254},
        {"priority": source, "src": address, "src_len": 32, "table": 1007},
    )


def _deleted(rule: dict[str, int | str]) -> None:
    with IPRoute() as netlink, contextlib.suppress(NetlinkError):
        netlink.rule("del", **rule)
