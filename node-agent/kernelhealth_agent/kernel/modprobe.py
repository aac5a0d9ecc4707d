"""What keeps modprobe from loading a module: modprobe.d(5).

The first ``install`` line for a module counts, in the order of the files' names; a blacklisted one
is not loaded for the sake of its aliases, by which the kernel asks for it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

_REFUSALS = frozenset({"/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true"})


def blocking(module: str) -> bytes:
    """Return the content of a file that keeps a module from being loaded."""
    return (
        "# Written by kernelhealth-agent for NodeKernelHealth: with this module a container may\n"
        "# leave its network namespace behind in the kernel for ever.\n"
        "# Delete this file to have it loaded again.\n"
        f"blacklist {module}\n"
        f"install {module} /bin/false\n"
    ).encode()


def first_install(module: str, files: Mapping[str, bytes]) -> tuple[str, int, str] | None:
    """Return file, line and command of the ``install`` line that counts for a module, or None.

    *files* are those of one directory, by name.
    """
    for file in sorted(files):
        lines = files[file].decode(errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            words = line.split(maxsplit=2)
            if len(words) == 3 and words[0] == "install" and _names(words[1], module):
                return file, number, words[2].strip()
    return None


def _names(pattern: str, module: str) -> bool:
    """Whether a name in modprobe.d, in which a dash is an underscore, is that of a module."""
    return fnmatch.fnmatchcase(module, pattern.replace("-", "_"))


def is_refusal(command: str) -> bool:
    """Whether a command loads nothing."""
    return command.split(maxsplit=1)[0] in _REFUSALS if command else False
