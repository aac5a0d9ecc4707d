"""Survivors: fixes that were meant to outlive a reboot, and whether they did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from kernelhealth_agent import errors, surgery
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.wording import clipped

FILE = "lasting.json"
_MOST = 256


class Lasting(BaseModel):
    """What one request has done to a host for longer than a boot."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    boot_id: str
    fix: str
    aims: tuple[Aim, ...]


def recorded(boot_id: str, fix: Fix, aims: Sequence[Aim]) -> bytes:
    """Return what is kept on the host of aims that were achieved."""
    lasting = Lasting(boot_id=boot_id, fix=fix.name, aims=tuple(aims))
    return lasting.model_dump_json(exclude_none=True).encode()


def told(host: Host, kept: str, fixes: Mapping[str, Fix], boot_id: str) -> Iterator[str]:
    """Yield a sentence for each thing that was fixed in an earlier boot: is it still so?

    *kept* is the directory, below the host's root, of what requests have left there.
    """
    try:
        names = sorted(host.names(kept))[-_MOST:]
    except errors.HostError:
        return
    for name in names:
        try:
            lasting = Lasting.model_validate_json(host.read(f"{kept}/{name}/{FILE}"))
        except (errors.HostError, ValidationError):
            continue
        fix = fixes.get(lasting.fix)
        if fix is None or lasting.boot_id == boot_id:
            continue
        for aim in lasting.aims:
            did = "survived" if surgery.is_achieved(fix, aim, host) else "did not survive"
            yield f"{fix.name} of {clipped(aim.title)} {did} the reboot: request={clipped(name)}"
