"""UnloadRpcGssModule: with auth_rpcgss go its clients of gssproxy, and what they hold.

net/sunrpc/auth_gss/auth_gss.c (exit_rpcsec_gss) runs the exit handler for every network namespace,
those that nothing reaches any more among them, which is what never came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import rpc_transports, rpc_users
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.modules import UnloadModule
from kernelhealth_agent.kernel.module_table import Module
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield the module, once for all findings."""
    for observation in list(observations)[:1]:
        yield Aim(rpc_users.MODULE, f"the module {rpc_users.MODULE}", observation)


def objection(host: Host, aim: Aim) -> str:  # noqa: ARG001 - It is the same module for all.
    """Return who still uses the module, or why it cannot be unloaded."""
    loaded = rpc_users.modules(host)
    module = loaded.get(rpc_users.MODULE)
    if module is None:
        if rpc_users.is_built_in(host, loaded):
            return "it is built into this kernel, and cannot be unloaded: plan a reboot"
        return "it is not loaded"
    return (
        _hold(module, loaded.get(rpc_users.KERBEROS))
        or rpc_users.kerberos(host, loaded)
        or rpc_users.client(host)
    )


def _hold(module: Module, kerberos: Module | None) -> str:
    """Return what the kernel itself counts as a user, or nothing."""
    if module.users < 0 or module.permanent:
        return "this kernel cannot unload it: plan a reboot"
    others = module.by - {rpc_users.KERBEROS}
    if others:
        return f"the module {min(others)} uses it"
    if kerberos is not None and (kerberos.users != 0 or kerberos.permanent):
        return f"{rpc_users.KERBEROS}, which uses it, is in use"
    more = module.users - len(module.by)
    return f"it has {more} users that are no modules, mounts with Kerberos say" if more else ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield what is unloaded: first the module that uses the other."""
    if rpc_users.KERBEROS in rpc_users.modules(host):
        yield UnloadModule(rpc_users.KERBEROS)
    yield UnloadModule(rpc_users.MODULE)


def achieved(host: Host, aim: Aim) -> bool:  # noqa: ARG001 - It is the same for all.
    """Whether the module is gone, and no client of gssproxy is left, as far as can be seen."""
    return rpc_users.MODULE not in rpc_users.modules(host) and not rpc_transports.to_gssproxy(host)


FIX = Fix(
    name="UnloadRpcGssModule",
    stage=Stage.RECLAIM,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
)
