"""An image in a file: a tar in the OCI image layout, which containerd, podman and skopeo read."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_builder.layer import Layer
from image_builder.recipe import ENTRYPOINT, ENVIRONMENT, USER, architecture, version

__all__ = ["configuration", "write_image"]

_MEDIA = "application/vnd.oci.image"
_SOURCE = {
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.description": "featward's CA, sidecar and operator",
}


def configuration(title: str) -> dict[str, Any]:
    """How a container of it runs: the part of an image's configuration that has that name."""
    about = {"org.opencontainers.image.title": title, "org.opencontainers.image.version": version()}
    return {
        "User": f"{USER}:{USER}",
        "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
        "Entrypoint": ENTRYPOINT,
        "Cmd": ["--help"],
        "WorkingDir": "/",
        "Labels": _SOURCE | about,
    }


def write_image(file: Path, title: str, layers: Sequence[Layer]) -> str:
    """Write it under the name `localhost/TITLE:VERSION`; returns the digest of its manifest.

    Nothing in it says when or where it was made.
    """
    blobs: dict[str, bytes | Path] = {one.digest: one.file for one in layers}

    def add(kind: str, content: Any) -> dict[str, Any]:
        data = json.dumps(content, sort_keys=True).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = data
        return {"mediaType": f"{_MEDIA}.{kind}", "digest": digest, "size": len(data)}

    machine = {"architecture": architecture(), "os": "linux"}
    config = machine | {
        "config": configuration(title),
        "rootfs": {"type": "layers", "diff_ids": [one.diff for one in layers]},
        "history": [{"created_by": one.made_by} for one in layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": add("config.v1+json", config),
        "layers": [_described(one) for one in layers],
    }
    entry = add("manifest.v1+json", manifest)
    entry |= {"platform": machine, "annotations": _named(f"localhost/{title}:{version()}")}
    index = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": [entry]}
    with tarfile.open(file, "w") as tar:
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(tar, "index.json", json.dumps(index, sort_keys=True).encode())
        for digest, blob in sorted(blobs.items()):
            _add(tar, f"blobs/{digest.replace(':', '/')}", blob)
    return str(entry["digest"])


def _described(layer: Layer) -> dict[str, Any]:
    media = f"{_MEDIA}.layer.v1.tar+gzip"
    return {"mediaType": media, "digest": layer.digest, "size": layer.size}


def _named(name: str) -> dict[str, str]:
    # containerd's, and the one of the layout itself, which has the tag alone.
    tag = name.rpartition(":")[2]
    return {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}


def _add(tar: tarfile.TarFile, name: str, blob: bytes | Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o644
    if isinstance(blob, bytes):
        entry.size = len(blob)
        tar.addfile(entry, io.BytesIO(blob))
        return
    entry.size = blob.stat().st_size
    with blob.open("rb") as file:
        tar.addfile(entry, file)
