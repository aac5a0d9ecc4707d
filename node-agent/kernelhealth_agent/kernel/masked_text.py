"""Text without names and addresses that nobody outside shall see. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kernelhealth_agent.kernel.pseudonyms import Pseudonyms

_HARDWARE = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_V4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_V6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?![\w:])")
_SOCKET = re.compile(r"\b((?:[0-9A-F]{8}){1,4})(?=:[0-9A-F]{4}\b)")
_LINK = re.compile(r"\b(cali|eni|vlan|azv|gke)([0-9a-f]{11})\b")
_WORDY = ("var/", "run/", "etc/", "recording.json", "probes/plugins/")
LOG = "probes/kmsg"
_OWN_FORMAT = ("lib/modules/", "sys/kernel/btf/")
_SYSTEM = frozenset({"", "dev", "etc", "lib", "mnt", "opt", "proc", "run", "sys", "usr", "var"})
_KUBERNETES = frozenset({"netns", "kubelet", "pods", "containerd", "containers", "volumes"})
_PLAIN_KINDS = frozenset({"nsfs", "proc", "sysfs", "cgroup", "cgroup2"})


@dataclass(frozen=True, slots=True)
class Mask:
    """What text becomes: *words* are pods' names and their new ones, *digits* those of links.

    *hosts* are names of machines, which stand in the kernel's log and in what is known of it.
    """

    pseudonyms: Pseudonyms
    words: Mapping[str, str]
    digits: Mapping[str, str]
    hosts: Mapping[str, str] = field(default_factory=dict)
    _word: re.Pattern[str] = field(init=False)
    _host: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_word", _any_of(self.words))
        object.__setattr__(self, "_host", _any_of(self.hosts))

    def link(self, name: str) -> str:
        """Return the new name of a link that was named after a pod; others keep theirs."""
        return _LINK.sub(lambda found: found[1] + self._digits(found[2]), name)

    def content(self, path: str, content: bytes) -> bytes:
        """Return what a file holds, other than netlink answers."""
        if path.startswith(_OWN_FORMAT) or path.endswith(".segments.json"):
            return content
        text = content.decode(errors="surrogateescape")
        name = path.rpartition("/")[2]
        if name == "mountinfo":
            text = "".join(map(self._mount, text.splitlines(keepends=True)))
        elif name in _COLUMNS and "/net/" in path:
            text = "".join(self._columns(_COLUMNS[name], line) for line in text.splitlines(True))
        elif path.startswith(_WORDY) or "/root/" in path:
            text = self._word.sub(lambda found: self.words[found[0]], text)
        if path == LOG or path.startswith(_WORDY):
            text = self._host.sub(lambda found: self.hosts[found[0]], text)
        return self.plain(text).encode(errors="surrogateescape")

    def path(self, path: str) -> str:
        """Return the path of a file, which may have a pod's name or an address in it."""
        parts = path.split("/")
        if path.startswith("var/log/pods/") and len(parts) > 3:
            parts[3] = "_".join(self.words.get(part, part) for part in parts[3].split("_"))
        return self.plain("/".join(parts))

    def plain(self, text: str) -> str:
        """Return text with other addresses, and other names of links."""
        text = _HARDWARE.sub(self._hardware, text)
        text = _V4.sub(self._address, text)
        return self.link(_V6.sub(self._address, text))

    def _digits(self, digits: str) -> str:
        """Return other digits, also for a pod that nothing tells of: who guesses it could check."""
        known = self.digits.get(digits)
        return known or self.pseudonyms.hardware(b"\2" + digits.encode()).hex()[-len(digits) :]

    def _hardware(self, found: re.Match[str]) -> str:
        raw = bytes.fromhex(found[0].replace(":", ""))
        return self.pseudonyms.hardware(raw).hex(":")

    def _address(self, found: re.Match[str]) -> str:
        try:
            raw = ipaddress.ip_address(found[0]).packed
        except ValueError:
            return found[0]
        return str(ipaddress.ip_address(self.pseudonyms.address(raw)))

    def _mount(self, line: str) -> str:
        """Return a line of a mount table: identifiers and kinds stay, places and sources do not."""
        before, dash, after = line.partition(" - ")
        fields, behind = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(behind) < 2 or behind[0] in _PLAIN_KINDS:
            return line
        fields[3] = self._place(fields[3])
        fields[4] = self._place(fields[4])
        behind[1:] = [self.pseudonyms.word(behind[1]), "rw\n"]
        return " ".join(fields) + dash + " ".join(behind)

    def _place(self, place: str) -> str:
        kept = _SYSTEM | _KUBERNETES
        return "/".join(p if p in kept else self.pseudonyms.word(p) for p in place.split("/"))

    def _columns(self, how: Callable[[Mask, list[str]], None], line: str) -> str:
        words = re.split(r"(\s+)", line)
        how(self, words)
        return "".join(words)

    def little_endian(self, text: str) -> str:
        """Return an address as the kernel prints it: words of 32 bits in the order of the host."""
        raw = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
        made = self.pseudonyms.address(raw)
        return "".join(made[at : at + 4][::-1].hex().upper() for at in range(0, len(made), 4))


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for any of the words where it stands alone."""
    every = "|".join(sorted(map(re.escape, words), key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"(?<![\w.-])(?:{every})(?![\w-])")


def _sockets(mask: Mask, words: list[str]) -> None:
    for number, word in enumerate(words):
        words[number] = _SOCKET.sub(lambda found: mask.little_endian(found[1]), word)


def _routes(mask: Mask, words: list[str]) -> None:
    for number in (2, 4):  # Destination and gateway; between them are the blanks.
        if len(words) > number and re.fullmatch("[0-9A-F]{8}", words[number]):
            words[number] = mask.little_endian(words[number])


def _sixes(mask: Mask, words: list[str]) -> None:
    for number, word in enumerate(words):
        if re.fullmatch("[0-9a-f]{32}", word):
            words[number] = mask.pseudonyms.address(bytes.fromhex(word)).hex()


_COLUMNS: Mapping[str, Callable[[Mask, list[str]], None]] = {
    "tcp": _sockets,
    "tcp6": _sockets,
    "udp": _sockets,
    "udp6": _sockets,
    "route": _routes,
    "ipv6_route": _sixes,
    "if_inet6": _sixes,
}
