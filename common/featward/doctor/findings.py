"""What the doctor finds: a word for programs, a sentence for people, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Weight", "note", "refusal", "warning"]


class Weight(StrEnum):
    """How bad it is."""

    REFUSED = "refused"
    """A verifier refuses this, or nothing could be verified at all. The command exits with 1."""
    WARNING = "warning"
    """It works now, and will not go on like this, or not for everybody."""
    NOTE = "note"
    """Something that could not be looked at, and how it could."""


@dataclass(frozen=True)
class Finding:
    """One of them."""

    weight: Weight
    code: str
    text: str
    remedy: str


def refusal(code: str, text: str, remedy: str) -> Finding:
    return Finding(Weight.REFUSED, code, text, remedy)


def warning(code: str, text: str, remedy: str) -> Finding:
    return Finding(Weight.WARNING, code, text, remedy)


def note(code: str, text: str, remedy: str) -> Finding:
    return Finding(Weight.NOTE, code, text, remedy)
