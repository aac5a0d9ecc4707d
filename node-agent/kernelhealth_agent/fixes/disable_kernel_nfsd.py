"""DisableKernelNfsd: the host's own gssproxy no longer makes the kernel its client.

Only the host's files are changed, never those of a container: a container that has a configuration
of its own is to be mended where its image is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors, rpc_users
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.files import PutBack, WriteFile
from kernelhealth_agent.kernel import gssproxy_switch
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_DIRECTORY, _SUFFIX = "etc/gssproxy", ".conf"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield the host's configuration, once for all findings."""
    for observation in list(observations)[:1]:
        yield Aim(_DIRECTORY, f"the host's /{_DIRECTORY}", observation)


def objection(host: Host, aim: Aim) -> str:  # noqa: ARG001 - It is the same for all.
    """Return why the host needs it, or that there is nothing to switch off."""
    if not rpc_users.own(host):
        return "kernel_nfsd is not on there"
    try:
        loaded = rpc_users.modules(host)
    except errors.AbsentError:
        loaded = {}
    return rpc_users.kerberos(host, loaded) or rpc_users.intended(host)


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield each file that has it on, with it off."""
    for name, content in sorted(rpc_users.own(host).items()):
        changed = gssproxy_switch.switched_off(content)
        yield WriteFile(f"{_DIRECTORY}/{name}", changed, content, "kernel_nfsd = no")


def achieved(host: Host, aim: Aim) -> bool:  # noqa: ARG001 - It is the same for all.
    """Whether it is off in all files; gssproxy reads them when it starts."""
    return not rpc_users.own(host)


def undo(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield that the files get back what was kept of them."""
    for name, content in sorted(host.folder("", _DIRECTORY, _SUFFIX).files.items()):
        yield PutBack(f"{_DIRECTORY}/{name}", content)


FIX = Fix(
    name="DisableKernelNfsd",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
    undo=undo,
    survives=True,
)
