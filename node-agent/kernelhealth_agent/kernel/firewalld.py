"""The reverse path filter of firewalld: firewalld.conf(5), firewalld/core/io/firewalld_conf.py.

Where ``IPv6_rpfilter`` is not in the file, it is on.
"""

from __future__ import annotations

import re

TABLE = "firewalld"
"""The table of nftables that belongs to firewalld."""
_KEY = re.compile(r"^(\s*IPv6_rpfilter\s*=\s*)(\S.*?)?(\s*)$")
_OFF = "no"


def filters(content: bytes) -> bool:
    """Whether a configuration has the reverse path filter on: the first of several lines counts."""
    values = [match[2] or "" for line in _lines(content) if (match := _KEY.match(line))]
    return not values or values[0].lower() != _OFF


def without_filter(content: bytes) -> bytes:
    """Return a configuration with the filter off, and all else as it was."""
    lines = _lines(content)
    changed = [_KEY.sub(rf"\g<1>{_OFF}\g<3>", line) for line in lines]
    if not any(_KEY.match(line) for line in lines):
        end = [""] if changed[-1] == "" else []
        changed = [*changed[: len(changed) - len(end)], f"IPv6_rpfilter={_OFF}", ""]
    return "\n".join(changed).encode(errors="surrogateescape")


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="surrogateescape").split("\n")
