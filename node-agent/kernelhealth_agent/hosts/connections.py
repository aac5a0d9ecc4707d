"""Lists the TCP connections of network namespaces, and the namespaces by their addresses."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import inet_diag, modules, rtnetlink
from kernelhealth_agent.kernel.inet_diag import Connection
from kernelhealth_agent.kernel.modules import Presence
from kernelhealth_agent.kernel.namespaces import Namespace

_FAMILIES = (inet_diag.AF_INET, inet_diag.AF_INET6)


@dataclass(slots=True)
class Connections:
    """Asks inet_diag where it is there, else reads the tables of procfs, which know less.

    *own* is the inode number of the host's own namespace. Whether inet_diag is there is found out
    with the first question.
    """

    host: Host
    own: int
    _answers: bool | None = None

    def of(self, space: Namespace, timer: int | None = None) -> Iterator[Connection]:
        """Yield the connections of a namespace, or those with a timer; ``HostError`` says why not.

        The tables of procfs have those that probe a closed window only.
        """
        if self._answers is None:
            self._answers = _is_there(self.host)
        for family in _FAMILIES:
            if self._answers:
                request = inet_diag.request(family)
                stream = self.host.dump(request, self._file(space))
                yield from inet_diag.connections(stream, f"netlink {request.name}", timer)
            elif space.pids:
                path = f"proc/{space.pids[0]}/net/tcp{'6' if family == inet_diag.AF_INET6 else ''}"
                with contextlib.suppress(errors.AbsentError):  # Without IPv6 there is no tcp6.
                    yield from inet_diag.table(self.host.read(path, 1 << 26), path)

    def addresses(self, spaces: Iterable[Namespace]) -> Mapping[str, list[int]]:
        """Return the inode numbers of the namespaces that have an address, by address."""
        found = defaultdict(list)
        request = rtnetlink.addresses_request()
        for space in spaces:
            with contextlib.suppress(errors.AbsentError):  # It ended meanwhile.
                answer = self.host.dump(request, self._file(space))
                for item in rtnetlink.addresses(answer, f"netlink {request.name}"):
                    found[item.address].append(space.inode)
        return found

    def _file(self, space: Namespace) -> str | None:
        return None if space.inode == self.own else space.file


def _is_there(host: Host) -> bool:
    """Whether inet_diag can be asked without a module being loaded."""
    loaded, built_in = None, None
    with contextlib.suppress(errors.AbsentError):
        loaded = modules.loaded(host.read("proc/modules"), "proc/modules")
    if loaded is None or all(name in loaded for name in inet_diag.MODULES):
        return True
    with contextlib.suppress(errors.AbsentError):
        release = host.read("proc/sys/kernel/osrelease", 256).decode(errors="replace").strip()
        built_in = modules.builtin(host.read(f"lib/modules/{release}/modules.builtin"))
    parts = (modules.presence(name, loaded, built_in) for name in inet_diag.MODULES)
    return all(part is Presence.THERE for part in parts)
