"""The digest of a binding, by which an approval names exactly what was consented to."""

import hashlib
import json

from featward.manifests.feature_binding import FeatureBinding

__all__ = ["binding_digest"]


def binding_digest(binding: FeatureBinding) -> str:
    """``sha256:`` and the SHA-256 of the binding's ``spec`` as canonical JSON.

    What nobody wrote is left out, so that a later version's new fields and their defaults leave the digests of
    today alone; so is a null, which means the same and which an API server may drop. Names and labels are not
    part of it: an approval names the binding itself.
    """
    written = binding.spec.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    text = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
