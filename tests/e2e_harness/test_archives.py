from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from kernelhealth_e2e import archives, pauseimage
from kernelhealth_e2e.archives import Image


def contents(archive: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            file = opened.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def test_every_blob_has_the_name_and_the_size_that_refer_to_it(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"

    Image("localhost/x:1", archives.tar({"a": b"b"}, mode=0o755), {"User": "0"}).write(archive)

    files = contents(archive)
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/sha256/")}
    manifest = json.loads(blobs[blob_of(json.loads(files["index.json"])["manifests"][0])])
    assert len(blobs) == 3
    assert all(name.endswith(hashlib.sha256(data).hexdigest()) for name, data in blobs.items())
    for reference in (manifest["config"], *manifest["layers"]):
        assert len(blobs[blob_of(reference)]) == reference["size"]


def test_the_history_accounts_for_the_layer_so_that_builders_accept_the_image(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "image.tar"

    Image("localhost/x:1", archives.tar({}, mode=0o644), {}).write(archive)

    configs = [json.loads(data) for data in contents(archive).values() if b"rootfs" in data]
    assert [len(config["history"]) for config in configs] == [1]


def test_the_sandbox_image_is_named_and_runs_its_one_program(tmp_path: Path) -> None:
    program, archive = tmp_path / "program", tmp_path / "image.tar"
    program.write_bytes(b"static")

    pauseimage.write(archive, program)

    files = contents(archive)
    named = json.loads(files["index.json"])["manifests"][0]["annotations"]
    assert list(named.values()) == [pauseimage.NAME]
    assert any(b'"Entrypoint": ["/pause"]' in data for data in files.values())


def blob_of(reference: dict[str, Any]) -> str:
    return f"blobs/sha256/{reference['digest'].removeprefix('sha256:')}"
