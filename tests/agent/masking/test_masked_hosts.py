from __future__ import annotations

import json
import shutil
import struct
from collections import Counter
from pathlib import Path

import pytest

from kernelhealth_agent import attribution, catalogue, errors, looking, moments, thresholds
from kernelhealth_agent.examination import Knowledge, Outcome
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.hosts.recordings import write
from kernelhealth_agent.kernel import masking, netlink, nft_round_trip
from kernelhealth_agent.kernel.masking import Recording
from kernelhealth_agent.survey import Surveyor

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
DAMAGED = {"network_namespaces-unreadable"}
EVERY = sorted({host.name for host in HOSTS.iterdir()} - DAMAGED)
NOT_OF_THE_HOST = {"README", "expected.prom", "expected.status.yaml"}
KEY = b"a key that is always the same"


def read(directory: Path) -> Recording:
    """A recording as it was before it was written."""
    files, links, folders, protocols = {}, {}, set(), {}
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        if name in NOT_OF_THE_HOST:
            continue
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_dir():
            folders.add(name)
        else:
            files[name] = path.read_bytes()
            if name.startswith("netlink/") and name.endswith(".hex"):
                protocols[name] = protocol(path.name)
    return Recording(files, links, frozenset(folders), protocols)


def protocol(name: str) -> int:
    return 12 if name.startswith("nft") else 4 if name.startswith("tcp") else 0


def looked(host: Path) -> Outcome:
    recorded = RecordedHost(str(host))
    known, first = looking.beginning(recorded)
    examiner = looking.examiner(
        recorded, catalogue.every(), Surveyor(attribution.Places(), 0.0), 30.0, 1 << 18
    )
    chosen = thresholds.in_force(examiner.rounds.detectors, {})
    return examiner.examine(Knowledge(memories=known.memories), chosen, first)


@pytest.mark.parametrize("name", EVERY)
def test_a_masked_host_is_as_sick_as_it_was(name: str, tmp_path: Path) -> None:
    write(masking.masked(read(HOSTS / name), KEY), tmp_path / "masked")

    before, after = looked(HOSTS / name), looked(tmp_path / "masked")

    assert [(c.type, c.status, c.reason) for c in after.status.conditions] == [
        (c.type, c.status, c.reason) for c in before.status.conditions
    ]
    assert Counter(after.suspected) == Counter(before.suspected)
    assert [f.reason for f in after.findings] == [f.reason for f in before.findings]


def test_nothing_of_what_is_masked_is_left_anywhere() -> None:
    original = read(HOSTS / "residual_links-abandoned")

    made = masking.masked(original, KEY)

    whole = b"".join(path.encode() + b"\n" + text for path, text in made.files.items())
    for secret in ("cart-8", "10.244.0.8", "eni4186e275fe2"):
        assert any(secret.encode() in (p.encode() + t) for p, t in original.files.items()) or (
            secret.encode().hex().encode() in b"".join(original.files.values())
        )
        assert secret.encode() not in whole
        assert secret.encode().hex().encode() not in whole
    assert bytes([10, 244, 0, 8]).hex().encode() not in whole


@pytest.mark.parametrize("name", sorted(DAMAGED))
def test_what_cannot_be_understood_cannot_be_masked(name: str) -> None:
    with pytest.raises(errors.UnreadableError, match="no message"):
        masking.masked(read(HOSTS / name), KEY)


def test_what_nobody_thought_of_is_refused(tmp_path: Path) -> None:
    host = shutil.copytree(HOSTS / "residual_links-healthy", tmp_path / "h", symlinks=True)
    (host / "netlink" / "links.hex").write_text("14000000ff000000" + "00" * 12 + "\n")

    with pytest.raises(errors.UnreadableError, match="type 255 of netlink protocol 0"):
        masking.masked(read(host), KEY)


def test_of_tables_of_nftables_their_families_are_left() -> None:
    body = struct.pack("=BBH", 10, 0, 0) + netlink.attribute(1, b"acme-filter\0")
    message = netlink.HEADER.pack(netlink.HEADER.size + len(body), 0xA00, 2, 1, 0) + body
    path = "netlink/nft-tables.hex"
    files = {path: f"{message.hex()}\n".encode()}

    made = masking.masked(Recording(files, {}, frozenset(), {path: 12}), KEY)

    left = bytes.fromhex(made.files[path].decode())
    assert nft_round_trip.families(left, path) == nft_round_trip.families(message, path)
    assert b"acme" not in left


def test_the_key_decides_and_nothing_else() -> None:
    original = read(HOSTS / "residual_links-abandoned")

    first, again = masking.masked(original, KEY), masking.masked(original, KEY)

    assert first == again
    assert masking.masked(original, b"another") != first


def test_pods_that_only_memories_know_are_masked() -> None:
    pod = {"namespace": "shop", "name": "cart-9", "uid": "u", "known_by": "memory"}
    said = {"a": {"pod": pod}, "b": "x[1] of pod bank/vault-1", "c": {"pod": "lab/probe-2"}}
    content = json.dumps({"memories": said}).encode()

    made = masking.masked(Recording({"recording.json": content}, {}, frozenset(), {}), KEY)

    text = made.files["recording.json"].decode()
    assert not [w for w in ("shop", "cart-9", "bank", "vault-1", "lab", "probe-2") if w in text]


def test_names_of_machines_are_masked_in_the_log_and_in_what_is_known_of_it() -> None:
    line = "nfs: server nas.acme.example not responding, still trying"
    log = f"4,1,1,-;{line}\n30,2,2,-;systemd[1]: Hostname set to <node-7>.\n".encode()
    known = json.dumps({"memories": {"kernel_log": {"server": "nas.acme.example"}}}).encode()
    files = {"probes/kmsg": log, "recording.json": known}

    made = masking.masked(Recording(files, {}, frozenset(), {}), KEY, "node-7.acme.example")

    whole = b"".join(made.files.values()).decode()
    assert "acme" not in whole
    assert "node-7" not in whole
    assert "not responding, still trying" in whole


def test_a_moment_is_kept(tmp_path: Path) -> None:
    moment = moments.now()
    said = f'{{"wall": "{moment.wall.isoformat()}", "uptime": {moment.uptime}}}'.encode()
    made = masking.masked(Recording({"recording.json": said}, {}, frozenset(), {}), KEY)

    write(made, tmp_path / "host")

    assert looking.beginning(RecordedHost(str(tmp_path / "host")))[1] == moment
