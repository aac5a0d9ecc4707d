"""This machine's pip configuration, as a file that an image's build can be given as a secret."""

from __future__ import annotations

import ast
import configparser
import io
import sys

from kernelhealth_e2e import processes

# What says where packages come from; paths on this machine (find-links, cache-dir) mean nothing
# in a build container.
_CARRIED = ("index-url", "extra-index-url", "proxy", "timeout", "default-timeout", "trusted-host")
CA_SECRET = "/run/secrets/ca"  # noqa: S105 - a path in the build container


def here() -> dict[str, str]:
    """Return pip's options on this machine, those of the environment winning over its files."""
    return options(processes.output((sys.executable, "-m", "pip", "config", "list")))


def options(listed: str) -> dict[str, str]:
    """Read what ``pip config list`` prints: lines of section, dot, name and a quoted value."""
    by_rank: dict[bool, dict[str, str]] = {False: {}, True: {}}
    for line in listed.splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if equals and section in {"global", "install", ":env:"}:
            by_rank[section == ":env:"][name] = str(ast.literal_eval(value))
    return by_rank[False] | by_rank[True]


def build_file(found: dict[str, str], *, with_ca: bool) -> str:
    """Give the text of a pip.conf for a build container from this machine's options."""
    parser = configparser.RawConfigParser()
    parser["global"] = {name: found[name] for name in _CARRIED if name in found}
    if with_ca:
        parser["global"]["cert"] = CA_SECRET
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
