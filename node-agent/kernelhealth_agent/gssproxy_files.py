"""Reads the configuration of gssproxy, the host's or a container's: gssproxy.conf(5)."""

from __future__ import annotations

from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Folder, Host
from kernelhealth_agent.kernel import gssproxy

FOLDER, SUFFIX = "etc/gssproxy", ".conf"


def folder(host: Host, root: str, blind: list[str]) -> Folder | None:
    """Return the configuration below a root directory, which no container can make us fail.

    What was not read is added to *blind*, a sentence each.
    """
    try:
        found = host.folder(root, FOLDER, SUFFIX)
    except errors.AbsentError:
        return None
    except (errors.ForbiddenError, errors.UnreadableError) as error:
        blind.append(str(error))
        return None
    blind += [f"{root}/{omitted}" for omitted in found.omitted]
    return found


def lines(found: Folder | None) -> Iterator[tuple[str, int]]:
    """Yield each file that switches kernel_nfsd on, with the number of the line that does."""
    for name, content in sorted(found.files.items()) if found is not None else ():
        line = gssproxy.kernel_nfsd(content)
        if line is not None:
            yield name, line
