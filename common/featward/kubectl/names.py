"""The names of injection that commands look for. The operator gives them; a test holds both together."""

__all__ = ["CONTAINER", "FEATURE_SETS_ASKED", "INJECT", "SERVER"]

INJECT = "featward.dev/inject"
"""Label or annotation of a pod: as what it asks for a sidecar."""
FEATURE_SETS_ASKED = "featward.dev/feature-sets"
"""Annotation of a pod: the feature sets that its app reads."""
SERVER = "featward.dev/server"
"""Label of pods with a server's sidecar, which its Service selects."""
CONTAINER = "featward-sidecar"
