"""DisableIPv6RPFilter: the reverse path filter that was found goes, and firewalld's setting for it.

Deleted are rules of nftables, those that ip6tables-nft made among them; a filter may be of several
rules, one of which logs, so those beside it in its chain go too. What belongs to the old ip6tables
is left alone: it has to be replaced as a whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelhealth_agent import errors, netns_places
from kernelhealth_agent.fix import Aim, Deed, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds.files import PutBack, WriteFile
from kernelhealth_agent.hosts.deeds.nft import DeleteFilters
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.kernel import firewalld, nftables, reverse_paths
from kernelhealth_agent.kernel.reverse_paths import Lookup
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation, Severity

_DIRECTORY, _NAME = "etc/firewalld", "firewalld.conf"
_PATH = f"{_DIRECTORY}/{_NAME}"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each filter that a finding names, once; of several findings the gravest counts."""
    found: dict[str, Aim] = {}
    for observation in sorted(observations, key=_is_harmless):
        namespace, name = observation.subject.namespace, _filter(observation)
        if namespace is not None and name:
            key = f"{namespace}/{name}"
            too = ", and firewalld.conf for when it is reloaded" if _is_firewalld(name) else ""
            title = f"'{name}' in net:[{namespace}]{too}"
            found.setdefault(key, Aim(key, title, observation))
    yield from found.values()


def objection(host: Host, aim: Aim) -> str:
    """Return why it is to stay: it is gone, filters for another reason, or harms nobody."""
    if _is_harmless(aim.observation):
        return "on this kernel it is not known to do harm: nothing has leaked"
    name = _filter(aim.observation)
    if name.startswith("ip6tables "):
        return "it is of ip6tables, whose rules cannot be deleted one by one: delete it by hand"
    try:
        space = _space(host, aim)
        found = next((one for one in _lookups(host, space) if one.text == name), None)
    except errors.AbsentError as error:
        return str(error)
    if found is None:
        return "the filter is gone already"
    return _purpose(found) or _ownership(host, space, found)


def _purpose(found: Lookup) -> str:
    """Return what else a rule is for than to drop packets with forged senders, or nothing."""
    if not found.is_filter:
        return "it looks up routes for another reason than to find the way back to a sender"
    return "it may let packets pass that would be dropped without it" if found.spares else ""


def _ownership(host: Host, space: Space, found: Lookup) -> str:
    """Return who alone may change the table, where nobody else can bring it about, or nothing."""
    if not _is_owned(host, space, found):
        return ""
    conf = _conf(host) if space.is_host and found.table == firewalld.TABLE else None
    if conf is None:
        return f"the table {found.table} may be changed by the program alone that owns it"
    if not firewalld.filters(conf):
        return f"/{_PATH} has it off already: reload firewalld"
    return ""


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """Yield firewalld's setting, where it is firewalld's filter, and that the rules go."""
    space, name = _space(host, aim), _filter(aim.observation)
    conf = _conf(host) if space.is_host and _is_firewalld(name) else None
    if conf is not None and firewalld.filters(conf):
        what = "IPv6_rpfilter=no, once firewalld is reloaded"
        yield WriteFile(_PATH, firewalld.without_filter(conf), conf, what)
    filters = _beside(_lookups(host, space), name)
    if filters and not _is_owned(host, space, filters[0]):
        texts = tuple(one.text for one in filters)
        yield DeleteFilters(space, texts, tuple(one.body for one in filters))


def achieved(host: Host, aim: Aim) -> bool:
    """Whether the filter is gone, and will not come back by firewalld; or its namespace is gone."""
    name = _filter(aim.observation)
    try:
        space = _space(host, aim)
        found = _lookups(host, space)
    except errors.AbsentError:
        return True
    conf = _conf(host) if space.is_host and _is_firewalld(name) else None
    if conf is not None and firewalld.filters(conf):
        return False
    left = [one for one in found if one.text == name]
    return not left or (conf is not None and _is_owned(host, space, left[0]))


def undo(host: Host, aim: Aim) -> Iterator[Deed]:
    """Yield that firewalld gets back the setting that was kept of it."""
    conf = _conf(host) if _is_firewalld(_filter(aim.observation)) else None
    if conf is not None:
        yield PutBack(_PATH, conf)


def _filter(observation: Observation) -> str:
    """Return the filter of a finding, which stands behind the rule."""
    return (observation.subject.rule or "").partition("; ")[2]


def _is_harmless(observation: Observation) -> bool:
    return observation.severity is Severity.INFO


def _is_firewalld(name: str) -> bool:
    return name.split(" ")[1:2] == [firewalld.TABLE]


def _space(host: Host, aim: Aim) -> Space:
    return netns_places.space(host, aim.observation.subject.namespace or 0)


def _lookups(host: Host, space: Space) -> tuple[Lookup, ...]:
    request = nftables.request()
    stream = host.dump(request, None if space.is_host else space.file)
    return reverse_paths.lookups(stream, f"netlink {request.name}")


def _beside(found: Iterable[Lookup], name: str) -> tuple[Lookup, ...]:
    """Return the filter of that name and the others of its chain that only drop or log."""
    every = tuple(one for one in found if one.is_filter and not one.spares)
    chains = {one.chain for one in every if one.text == name}
    return tuple(one for one in every if one.chain in chains)


def _is_owned(host: Host, space: Space, lookup: Lookup) -> bool:
    """Whether only the program that made its table may change it."""
    request = reverse_paths.tables_request()
    stream = host.dump(request, None if space.is_host else space.file)
    return lookup.chain[:2] in reverse_paths.owned(stream, f"netlink {request.name}")


def _conf(host: Host) -> bytes | None:
    try:
        folder = host.folder("", _DIRECTORY, _NAME)
    except errors.AbsentError:
        return None
    if folder.omitted:
        raise errors.UnreadableError(_PATH, folder.omitted[0])
    return folder.files.get(_NAME)


FIX = Fix(
    name="DisableIPv6RPFilter",
    stage=Stage.FIX_CONFIG,
    aims=aims,
    objection=objection,
    deeds=deeds,
    achieved=achieved,
    undo=undo,
)
