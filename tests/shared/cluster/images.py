"""Container images without a registry: tars in the OCI layout, which containerd reads."""

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BUSYBOX", "Image", "busybox_layer", "write_image"]

BUSYBOX = "localhost/busybox:1"
_MEDIA = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o755, "sys": 0o755, "tmp": 0o1777}


@dataclass(frozen=True)
class Image:
    """An image in a file. Its name must begin with `localhost/`: others are looked for elsewhere."""

    name: str
    file: Path


def write_image(file: Path, name: str, command: Sequence[str], *layers: bytes) -> Image:
    """An image of these layers, which are plain tars, and what it runs if nothing else is asked for."""
    blobs: list[bytes] = []

    def add(kind: str, data: bytes) -> dict[str, Any]:
        blobs.append(data)
        return {"mediaType": f"{_MEDIA}.{kind}", "digest": _digest(data), "size": len(data)}

    machine = {"architecture": _ARCHITECTURES[platform.machine()], "os": "linux"}
    run = {"Cmd": list(command), "Env": ["PATH=/bin"]}
    system = {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]}
    config = json.dumps(machine | {"config": run, "rootfs": system}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": add("config.v1+json", config),
        "layers": [add("layer.v1.tar", layer) for layer in layers],
    }
    entry = add("manifest.v1+json", json.dumps(manifest).encode()) | {"platform": machine}
    entry["annotations"] = {"io.containerd.image.name": name}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()

    with tarfile.open(file, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", index)
        for blob in blobs:
            _add(tar, f"blobs/{_digest(blob).replace(':', '/')}", blob)
    return Image(name, file)


def busybox_layer() -> bytes:
    """A file system of busybox under all of its names, and nothing else."""
    program = shutil.which("busybox")
    if program is None:
        raise RuntimeError("there is no busybox; on Debian: apt install busybox-static")
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in _FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        _add(tar, "bin/busybox", Path(program).read_bytes(), 0o755)
        for name in listed.stdout.split():
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
