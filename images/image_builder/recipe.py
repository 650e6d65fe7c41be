"""What the images are made of and how they run: the choices, apart from the work."""

import platform
import tomllib
from pathlib import Path

from image_builder.errors import BuildError

__all__ = [
    "ARCHITECTURES",
    "COMMAND",
    "DEMO_REPOSITORY",
    "ENTRYPOINT",
    "ENVIRONMENT",
    "FEAST",
    "GLIBC",
    "IMAGES",
    "OURS",
    "PYTHON",
    "RELEASE",
    "ROOT",
    "TRIPLETS",
    "USER",
    "architecture",
    "names_in",
    "version",
]

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
RELEASE = "bookworm"
"""Debian's release that packages.txt has the names of."""
PYTHON = (3, 11)
GLIBC = (2, 36)
"""Of that release: the newest that wheels may have been built for."""

OURS = "opt/featward"
FEAST = "opt/feast"
DEMO_REPOSITORY = "opt/feast-repository"

USER = 65532
"""Nobody's on any usual system, and the one that other images without a shell have."""
# -P: a folder of our name where somebody starts us must not be taken for us.
ENTRYPOINT = ["/usr/bin/python3.11", "-P", "-m", "featward"]
COMMAND = """#!/usr/bin/python3.11 -P
from featward.cli import main

main()
"""
"""`/usr/bin/featward`, which needs no shell: for `kubectl exec … -- featward ca status`."""
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "PYTHONPATH": f"/{OURS}",
    # It is all there, and the file system can't be written to.
    "PYTHONDONTWRITEBYTECODE": "1",
    # Debian's OpenSSL looks where another package would have put it.
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}

# As Debian and as the OCI call it, which is the same; and as the machine and the compiler do.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def architecture() -> str:
    """What this machine builds for: itself. Raises BuildError for a machine that we know nothing of."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BuildError(f"images can't be built on {machine}; use a machine of these: {known}")
    return ARCHITECTURES[machine]


def version() -> str:
    """featward's own, which is the tag of its images."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def names_in(file: Path) -> list[str]:
    """The lines of a list, without its comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line]
