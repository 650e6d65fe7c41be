"""Conditions as rows of a status, and the moments in them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["answer", "answered", "moment"]


def moment(second: float) -> str:
    """Unix seconds as a status has them: ``2026-11-23T18:00:00Z``."""
    return datetime.fromtimestamp(int(second), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answered(conditions: Iterable[Mapping[str, Any]], question: str) -> Mapping[str, Any]:
    """The row of this type; empty where there is none."""
    return next((one for one in conditions if one.get("type") == question), {})


def answer(
    question: str,
    status: bool | None,
    reason: str,
    message: str,
    *,
    before: Iterable[Mapping[str, Any]],
    generation: int,
    now: float,
) -> dict[str, Any]:
    """A row: None is Unknown. ``before`` are the rows as they are, for since when the answer is so;
    ``generation`` is the object's, that the answer is about.
    """
    said = "Unknown" if status is None else str(status)
    old = answered(before, question)
    since = old.get("lastTransitionTime") if old.get("status") == said else None
    return {
        "type": question,
        "status": said,
        "reason": str(reason),
        "message": message[:4096],
        "lastTransitionTime": since or moment(now),
        "observedGeneration": generation,
    }
