"""OCI archives with one layer, written without a registry or a container engine."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its name, its one layer as an uncompressed tar, and its runtime configuration."""

    name: str
    layer: bytes
    config: dict[str, Any]

    def write(self, archive: Path) -> None:
        """Write the image where ``ctr images import`` and ``FROM oci-archive:`` can read it."""
        config = _json(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": self.config,
                "rootfs": {"type": "layers", "diff_ids": [_sha256(self.layer)]},
                # Builders refuse to build upon a layer that the history does not mention.
                "history": [{"created_by": "kernelhealth end-to-end harness"}],
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": _descriptor("config.v1+json", config),
                "layers": [_descriptor("layer.v1.tar", self.layer)],
            }
        )
        named = _descriptor("manifest.v1+json", manifest)
        named["annotations"] = {"io.containerd.image.name": self.name}
        blobs = (config, manifest, self.layer)
        files = {f"blobs/sha256/{_sha256(blob).removeprefix('sha256:')}": blob for blob in blobs}
        files["index.json"] = _json({"schemaVersion": 2, "manifests": [named]})
        files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
        archive.write_bytes(tar(files, mode=0o644))


def tar(files: dict[str, bytes], mode: int) -> bytes:
    """Give an uncompressed tar of regular files that belong to root and have no date."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            opened.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _descriptor(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": _sha256(blob), "size": len(blob)}


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
