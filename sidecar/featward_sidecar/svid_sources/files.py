"""SVID and trust from PEM files that somebody else keeps fresh, such as cert-manager's or another sidecar's.

They are looked at every second. Three files can't be read in one moment, so they are read until two readings
agree, and a key that does not fit its chain is a writer's half-time, to be read again.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from featward_sidecar.certificates import CertificateError, from_pem
from featward_sidecar.content import Bundle
from featward_sidecar.errors import SourceError
from featward_sidecar.svid_sources.material import Material

__all__ = ["FilesSource"]

LOOK_SECONDS = 1.0
"""As often as the manifests."""

LARGEST = 1 << 20
"""Bytes of a file; chains and bundles have a few kilobytes."""


class FilesSource:
    """Follows three files by their content."""

    kind = "files"

    def __init__(self, chain: Path, key: Path, bundle: Path, trust_domain: str) -> None:
        self._files = (chain, key, bundle)
        self._trust_domain = trust_domain
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def follow(self, use: Callable[[Material], None]) -> None:
        """Raises SourceError for a file that is missing or holds something else."""
        used: Material | None = None
        while not self._stopped.is_set():
            if (found := self._read()) != used and found == self._read():
                use(found)
                used = found
            self._stopped.wait(LOOK_SECONDS)

    def _read(self) -> Material:
        chain, key, bundle = (_blocks(path) for path in self._files)
        certificates = [der for label, der in chain if label == "CERTIFICATE"]
        keys = [der for label, der in key if label == "PRIVATE KEY"]
        roots = [der for label, der in bundle if label == "CERTIFICATE"]
        if not certificates:
            raise SourceError(f"{self._files[0]} holds no certificate in PEM")
        if len(keys) != 1:
            raise SourceError(
                f"{self._files[1]} holds {len(keys)} keys in PKCS #8 PEM, where one is expected; "
                f"`openssl pkcs8 -topk8 -nocrypt` makes one of other forms"
            )
        if not roots:
            raise SourceError(f"{self._files[2]} holds no certificate in PEM")
        own = Bundle(self._trust_domain, tuple(roots))
        return Material(tuple(certificates), keys[0], own)


def _blocks(path: Path) -> list[tuple[str, bytes]]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise SourceError(f"{path} is larger than {LARGEST} bytes")
        return from_pem(text)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror or error}") from error
    except CertificateError as error:
        raise SourceError(f"{path} is not PEM: {error}") from error
