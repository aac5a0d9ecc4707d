"""A recording with other names and addresses, of which detectors say the same. Pure.

Masked are addresses of the network and the link layer wherever they stand, names of pods and their
namespaces, the names of links that follow from them, and the places and sources of mounts. Names of
processes, containers (random numbers), devices and kernel objects stay: detectors go by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import interface_names, masked_netlink, masked_text
from kernelhealth_agent.kernel.masked_netlink import Names
from kernelhealth_agent.kernel.pseudonyms import Pseudonyms

RECORDING = "recording.json"
_LOGS = re.compile(r"(?:^|/)var/log/pods/([a-z0-9.-]+)_([a-z0-9.-]+)_([0-9a-f-]{32,36})")
_ARGUMENT = re.compile(
    r'"K8S_POD_(NAMESPACE|NAME)",\s*"([a-z0-9.-]+)"|"k8sPod(Namespace|Name)":\s*"([a-z0-9.-]+)"'
)
_REMEMBERED = re.compile(
    r'"namespace":\s*"([a-z0-9.-]+)",\s*"name":\s*"([a-z0-9.-]+)"'
    r'|(?:\bpod |"pod":\s*")([a-z0-9.-]+)/([a-z0-9.-]*[a-z0-9])'
)
_SERVER = re.compile(r"nfs: server ([\w.-]*[A-Za-z][\w.-]*),? (?:not responding|OK|is not)")
_COMMON = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded: files by path, links by path, directories that may be empty.

    *protocols* are the netlink protocols of the answers among the files.
    """

    files: Mapping[str, bytes]
    links: Mapping[str, str]
    folders: frozenset[str]
    protocols: Mapping[str, int]


def masked(recording: Recording, key: bytes, machine: str = "") -> Recording:
    """Return the recording under other names; ``UnreadableError`` for what cannot be masked.

    *machine* is what the recorded one calls itself.
    """
    pseudonyms = Pseudonyms(key)
    pods = _pods(recording)
    words = {word: pseudonyms.word(word) for pod in pods for word in pod if word not in _COMMON}
    hosts = {name: pseudonyms.word(name) for name in _hosts(recording, machine)}
    text = masked_text.Mask(pseudonyms, words, _links(pods, words), hosts)
    path = text.path
    return Recording(
        files={
            path(at): _file(at, content, recording, text) for at, content in recording.files.items()
        },
        links={path(at): text.plain(target) for at, target in recording.links.items()},
        folders=frozenset(map(path, recording.folders)),
        protocols={path(at): number for at, number in recording.protocols.items()},
    )


def _file(path: str, content: bytes, recording: Recording, text: masked_text.Mask) -> bytes:
    protocol = recording.protocols.get(path)
    if protocol is None:
        return text.content(path, content)
    names = Names(text.pseudonyms, text.link)
    lines = []
    for line in content.decode(errors="replace").splitlines():
        try:
            stream = bytes.fromhex(line)
        except ValueError as error:
            raise errors.UnreadableError(path, str(error)) from error
        lines.append(masked_netlink.masked(stream, protocol, names, path).hex() + "\n")
    return "".join(lines).encode()


def _pods(recording: Recording) -> set[tuple[str, str]]:
    """Return namespace and name of every pod that the recording tells of."""
    found = {
        (match[1], match[2])
        for path in (*recording.files, *recording.folders)
        for match in _LOGS.finditer(path)
    }
    for path, content in recording.files.items():
        if path.startswith(("var/", "run/", "etc/")) and b"pod" in content.lower():
            found |= _told(content.decode(errors="replace"))
    remembered = recording.files.get(RECORDING, b"").decode(errors="replace")
    for match in _REMEMBERED.finditer(remembered):
        found.add((match[1], match[2]) if match[1] else (match[3], match[4]))
    return found


def _hosts(recording: Recording, machine: str) -> set[str]:
    """Return the names of machines that the kernel's log and what is remembered of it may have."""
    # A name without any of these may well be a word that the kernel uses.
    own = {machine, machine.partition(".")[0]}
    found = {name for name in own if re.search(r"[a-z][0-9.-]|[0-9.-][a-z]", name)}
    for path in (RECORDING, masked_text.LOG):
        found.update(_SERVER.findall(recording.files.get(path, b"").decode(errors="replace")))
    return found


def _told(text: str) -> set[tuple[str, str]]:
    """Return the pods that a CNI plugin's file tells of, name and namespace beside each other."""
    namespaces: list[str] = []
    names: list[str] = []
    for match in _ARGUMENT.finditer(text):
        what, word = (match[1], match[2]) if match[1] else (match[3].upper(), match[4])
        (namespaces if what == "NAMESPACE" else names).append(word)
    return set(zip(namespaces, names, strict=False))


def _links(pods: Iterable[tuple[str, str]], words: Mapping[str, str]) -> dict[str, str]:
    """Return the new digits of the links whose names follow from a pod's."""
    made: dict[str, str] = {}
    for pod in pods:
        other = (words.get(pod[0], pod[0]), words.get(pod[1], pod[1]))
        made.update(zip(interface_names.digits(*pod), interface_names.digits(*other), strict=True))
    return made
