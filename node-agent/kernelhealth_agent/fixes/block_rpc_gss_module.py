"""BlockRpcGssModule: a file of modprobe.d keeps auth_rpcgss from being loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from kernelhealth_agent import errors, rpc_users
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.files import DeleteFile, WriteFile
from kernelhealth_agent.kernel import modprobe
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_DIRECTORY, _NAME = "etc/modprobe.d", f"kernelhealth-{rpc_users.MODULE}.conf"
_OTHERS = ("run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
"""The other directories of modprobe.d(5), those that count more first."""
_PATH = f"{_DIRECTORY}/{_NAME}"
_CONTENT = modprobe.blocking(rpc_users.MODULE)


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield the file, once for all findings."""
    for observation in list(observations)[:1]:
        yield Aim(_PATH, f"/{_PATH}", observation)


def objection(host: Host, aim: Aim) -> str:  # noqa: ARG001 - It is the same file for all.
    """Return who needs the module, or why a file would not keep it out."""
    loaded = rpc_users.modules(host)
    if rpc_users.is_built_in(host, loaded):
        return f"{rpc_users.MODULE} is built into this kernel: no file keeps it out"
    files = _files(host)
    if files.get(_NAME, _CONTENT) != _CONTENT:
        return "somebody changed it: delete it to have it written anew"
    if _NAME in files:
        return "it is there already"
    return _forestalled(host, files) or rpc_users.kerberos(host, loaded) or rpc_users.intended(host)


def _forestalled(host: Host, files: Mapping[str, bytes]) -> str:
    """Return which other file says what is done instead of loading the module, or nothing."""
    every = {**_elsewhere(host), **files, _NAME: _CONTENT}
    counts = modprobe.first_install(rpc_users.MODULE, every)
    if counts is None or counts[0] == _NAME:
        return ""
    file, line, command = counts
    how = "keeps the module out already" if modprobe.is_refusal(command) else "comes before it"
    return f"line {line} of {file}, among the files of modprobe.d, {how}"


def _elsewhere(host: Host) -> dict[str, bytes]:
    """Return the files of the other directories; what cannot be read there says nothing."""
    found: dict[str, bytes] = {}
    for directory in _OTHERS:
        with contextlib.suppress(errors.HostError):
            found = {**host.folder("", directory, ".conf").files, **found}
    return found


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield the file."""
    if _NAME not in _files(host):
        yield WriteFile(_PATH, _CONTENT, None, f"{rpc_users.MODULE} is not loaded any more")


def achieved(host: Host, aim: Aim) -> bool:  # noqa: ARG001 - It is the same for all.
    """Whether the file is there as it has to be."""
    return _files(host).get(_NAME) == _CONTENT


def undo(host: Host, aim: Aim) -> Iterator[Deed]:  # noqa: ARG001 - It is the same for all.
    """Yield that the file goes again."""
    yield DeleteFile(_PATH, _CONTENT)


def _files(host: Host) -> Mapping[str, bytes]:
    """Return the files of modprobe.d; ``UnreadableError`` where one cannot be read."""
    try:
        folder = host.folder("", _DIRECTORY, ".conf")
    except errors.AbsentError:
        return {}
    if folder.omitted:
        raise errors.UnreadableError(_DIRECTORY, folder.omitted[0])
    return folder.files


FIX = Fix(
    name="BlockRpcGssModule",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
    undo=undo,
    survives=True,
)
