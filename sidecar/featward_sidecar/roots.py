"""The file of root digests by which we know our CA at first contact, kept up to date by somebody else."""

import re
from pathlib import Path

from featward_sidecar.errors import EvidenceError

__all__ = ["read_digests"]

LONGEST_DIGESTS = 16 * 1024
"""Of a file of root digests: 250 of them, of which a rotation needs two."""


def read_digests(file: Path) -> list[bytes]:
    """The SHA-256 digests in a file, one a line. Raises EvidenceError, which says what is there instead."""
    try:
        with file.open(encoding="ascii") as opened:
            lines = opened.read(LONGEST_DIGESTS).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvidenceError(f"the file of root digests {file} can't be read: {error}") from error
    found = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    for number, line in found.items():
        if not re.fullmatch(r"[0-9a-fA-F]{64}", line):
            raise EvidenceError(
                f"line {number} of the root digests in {file} is {line[:80]!r}; expected the SHA-256 of a root "
                "certificate, 64 hexadecimal digits"
            )
    if not found:
        raise EvidenceError(
            f"the file of root digests {file} is empty; expected the SHA-256 of the CA's root certificate, one "
            "a line, as `featward ca status --output json` shows it"
        )
    return [bytes.fromhex(line) for line in found.values()]
