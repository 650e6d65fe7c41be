"""The labels and annotations of ours that an object may carry, and those that nobody reads.

In a file an unknown one is refused like every unknown key. An object of a cluster is taken in spite of it: its
labels are written by many hands, and one misspelt label of a Namespace must not unmake all the sets in it.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from featward.manifests.model import BUSINESS_UNIT_LABEL

__all__ = [
    "INJECTION_LABEL",
    "PROTECTION_LABEL",
    "ROTATE_REQUESTED_AT",
    "ROTATION",
    "is_ours",
    "unknown_labels",
]

INJECTION_LABEL = "featward.dev/injection"
"""On a Namespace, ``enabled``: an annotation is enough to ask for a sidecar there."""
PROTECTION_LABEL = "featward.dev/protection"
"""On a Namespace, ``suspended``: pods come up without a sidecar, whatever they ask for."""
ROTATE_REQUESTED_AT = "featward.dev/rotate-requested-at"
"""On an Environment or a BusinessUnit, a moment: rotate once because of it."""
ROTATION = "featward.dev/rotation"
"""On the same, ``paused``: no step of a rotation is taken."""

# By kind and group; what is not here is read by nothing.
_KNOWN = {
    ("Namespace", "labels"): (BUSINESS_UNIT_LABEL, INJECTION_LABEL, PROTECTION_LABEL),
    ("Environment", "annotations"): (ROTATE_REQUESTED_AT, ROTATION),
    ("BusinessUnit", "annotations"): (ROTATE_REQUESTED_AT, ROTATION),
}
_PREFIX = "featward.dev"


def unknown_labels(kind: str, metadata: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Group (``labels`` or ``annotations``) and key of each that looks like ours and is none, with those known.

    ``metadata`` is as it was read, and may be anything.
    """
    for group in ("labels", "annotations"):
        known = _KNOWN.get((kind, group), ())
        given = metadata.get(group) if isinstance(metadata, dict) else None
        for key in given if isinstance(given, dict) else ():
            if is_ours(key.partition("/")[0]) and key not in known:
                yield group, key, known


@lru_cache(maxsize=1024)
def is_ours(prefix: str) -> bool:
    """Whether a label's prefix is ours, or so near to it that a slip of the pen is likelier."""
    return prefix == _PREFIX or bool(get_close_matches(prefix, [_PREFIX], cutoff=0.9))
