"""The suppress_prefix trap: an IPv6 rule that suppresses routes, and a filter that needs them."""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox

PRIORITY = 31337
TABLE = "kernelhealth-fault"
_MAIN = 254
_FILTER = """
table {family} {table} {{
  chain prerouting {{
    type filter hook prerouting priority raw; policy accept;
    {rule}
  }}
}}
"""
FIB = "fib saddr . iif oif missing drop"


@contextlib.contextmanager
def suppress_rule(namespace: str, length: int = 0) -> Iterator[None]:
    """Add what ``wg-quick`` adds: a rule on the main table with a suppress_prefixlength.

    A *length* of -1 is the kernel's word for none: that rule suppresses nothing.
    """
    rule = {
        "family": socket.AF_INET6,
        "priority": PRIORITY,
        "table": _MAIN,
        "FRA_SUPPRESS_PREFIXLEN": length & 0xFFFFFFFF,
    }
    with held_namespace.inside(namespace), IPRoute() as netlink:
        netlink.rule("add", **rule)
    try:
        yield
    finally:
        with held_namespace.inside(namespace), IPRoute() as netlink:
            netlink.rule("del", **rule)


@contextlib.contextmanager
def wg_quick_rules(namespace: str, mark: int = 51820) -> Iterator[None]:
    """Add both rules that wg-quick(8) adds when all traffic is to go its way, as it adds them."""
    rules = (f"not fwmark {mark} table {mark}", "table main suppress_prefixlength 0")
    with contextlib.ExitStack() as undo:
        for rule in rules:
            _ip(namespace, f"-6 rule add {rule}")
            undo.callback(_ip, namespace, f"-6 rule del {rule}")
        yield


def _ip(namespace: str, arguments: str) -> None:
    with held_namespace.inside(namespace):
        subprocess.run(["ip", *arguments.split()], check=True)


@contextlib.contextmanager
def nft_rule(namespace: str, rule: str = FIB, family: str = "ip6") -> Iterator[None]:
    """Add an nftables rule for IPv6 packets that arrive: reverse path filtering by default."""
    _nft(namespace, _FILTER.format(family=family, table=TABLE, rule=rule))
    try:
        yield
    finally:
        _nft(namespace, f"delete table {family} {TABLE}\n")


def _nft(namespace: str, commands: str) -> None:
    with held_namespace.inside(namespace):
        subprocess.run(["nft", "-f", "-"], input=commands.encode(), check=True)


@contextlib.contextmanager
def trap(namespace: str) -> Iterator[None]:
    """Set the whole trap in a namespace."""
    with suppress_rule(namespace), nft_rule(namespace):
        yield


def main() -> None:
    """Set the trap until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="suppress_prefix", description=__doc__, epilog="example: suppress_prefix --pid 4711"
    )
    parser.add_argument("--pid", type=int, help="a process in the namespace; default: a new one")
    half = "set one half, which is harmless"
    parser.add_argument("--rule-only", action="store_true", help=half)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        pid = arguments.pid or stack.enter_context(sandbox()).pid
        fault = suppress_rule if arguments.rule_only else trap
        stack.enter_context(fault(f"/proc/{pid}/ns/net"))
        print(f"set in the namespace of process {pid}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
